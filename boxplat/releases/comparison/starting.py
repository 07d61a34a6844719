"""The supervisor's part in guard-rails: to start a process that looks at them while there is something to see."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from boxplat.core import processes
from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.values import seconds
from boxplat.releases.comparison.watch import due

_WATCH = "boxplat.releases.comparison.watch"
_PERIOD = 30.0


class Watches:
    """Starts the watch as often as the guard-rails say, never two at once."""

    def __init__(
        self, state: StateStore, paths: Paths, config: Config, environment: Callable[[], dict[str, str]]
    ) -> None:
        self._state = state
        self._paths = paths
        self._config = config
        self._environment = environment
        self._every = min([seconds(said.every) or _PERIOD for said in config.guards.values()], default=0.0)
        self._next = time.monotonic() + self._every
        self._running: subprocess.Popen[bytes] | None = None

    def tick(self, stopping: bool) -> bool:
        """One step; returns whether a watch still runs."""
        if self._running is not None and self._running.poll() is not None:
            self._running = None
        if self._running is not None:
            if stopping:
                processes.signal_group(self._running.pid, signal.SIGTERM)
            return True
        now = time.monotonic()
        if stopping or not self._every or now < self._next:
            return False
        self._next = now + self._every
        if due(self._state, self._config):
            log = self._paths.service_log("watch")
            self._running = processes.spawn([sys.executable, "-m", _WATCH], self._environment(), self._paths.root, log)
        return self._running is not None
