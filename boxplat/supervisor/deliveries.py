"""What was promised to tracking while it did not answer: sent by processes of their own when it does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from boxplat.core import processes
from boxplat.core.model import State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.resend import pending

_AGAIN = 10.0
_RESEND, _OWED = "boxplat.runs.resend", "boxplat.releases.owed"


class Deliveries:
    """Runs that MLflow lacks something of, and aliases that have to follow the traffic of a rollback."""

    def __init__(self, state: StateStore, paths: Paths, environment: Callable[[], dict[str, str]]) -> None:
        self._state = state
        self._paths = paths
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._was = State.STOPPED
        self._next = 0.0

    def tick(self, tracking: State, lost: bool) -> bool:
        """Send what is missing when tracking has become healthy, and when `lost` says that a launcher was killed.

        Returns whether `lost` has been dealt with.
        """
        became = tracking is State.RUNNING and self._was is not State.RUNNING
        self._was = tracking
        if tracking is not State.RUNNING:
            return False
        now = time.monotonic()
        if became or now >= self._next:
            self._next = now + _AGAIN
            if self._state.changes.owing():
                self._start(_OWED, "owed")
        if not (became or lost) or not self._free(_RESEND):
            return False
        if pending(self._paths):
            self._start(_RESEND, "resend")
        return True

    def _free(self, module: str) -> bool:
        return module not in self._running or self._running[module].poll() is not None

    def _start(self, module: str, log: str) -> None:
        if self._free(module):
            argv = [sys.executable, "-m", module]
            path = self._paths.service_log(log)
            self._running[module] = processes.spawn(argv, self._environment(), self._paths.root, path)
