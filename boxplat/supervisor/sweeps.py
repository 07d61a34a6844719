"""The supervisor's part in sweeps: a driver process for each one that is not done."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from boxplat.core import processes
from boxplat.core.backoff import Backoff
from boxplat.core.logs import last_words
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import SweepState

_DRIVER = "boxplat.runs.sweeps.driver"
_PERIOD = 0.3
# A sweep whose end MLflow does not hear of.
_AGAIN = 20.0
_KILLED = 1.0


@dataclass(slots=True)
class _Drive:
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Sweeps:
    """The driver processes; each may be killed, and is started again."""

    def __init__(self, state: StateStore, paths: Paths, environment: Callable[[], dict[str, str]]) -> None:
        self._state = state
        self._paths = paths
        self._environment = environment
        self._drives: dict[int, _Drive] = {}
        self._next = 0.0

    def tick(self, stopping: bool) -> bool:
        """One step; returns whether a driver still runs."""
        for sweep_id, drive in self._drives.items():
            self._tend(sweep_id, drive, stopping)
        now = time.monotonic()
        if not stopping and now >= self._next:
            self._next = now + _PERIOD
            wanted = self._state.sweeps.unfinished()
            for sweep_id in self._drives.keys() - set(wanted):
                if self._drives[sweep_id].process is None:
                    del self._drives[sweep_id]
            for sweep_id in wanted:
                self._start(sweep_id, now)
        return any(drive.process is not None for drive in self._drives.values())

    def _tend(self, sweep_id: int, drive: _Drive, stopping: bool) -> None:
        if drive.process is None:
            return
        status = drive.process.poll()
        if status is None:
            if stopping:
                processes.signal_group(drive.process.pid, signal.SIGTERM)
            return
        drive.process = None
        now = time.monotonic()
        if status == 0:
            # One that was resumed while its driver was ending needs another at once.
            over = self._state.sweeps.get(sweep_id).state.over
            drive.backoff.retry_at = now + (_AGAIN if over else _PERIOD)
            return
        if status < 0:
            # Killed, which says nothing about it.
            drive.backoff.retry_at = now + _KILLED
            return
        drive.backoff.healthy_since = drive.began
        if not drive.backoff.failed(now) and not stopping:
            words = last_words(self._paths.service_log("sweeps"), 5)
            error = f"its driver ended {drive.backoff.failures} times in a row, the last time with {status}\n{words}"
            self._state.sweeps.end(sweep_id, SweepState.FAILED, error, {"error": error})

    def _start(self, sweep_id: int, now: float) -> None:
        drive = self._drives.setdefault(sweep_id, _Drive())
        if drive.process is None and now >= drive.backoff.retry_at:
            argv = [sys.executable, "-m", _DRIVER, str(sweep_id)]
            drive.began = now
            log = self._paths.service_log("sweeps")
            drive.process = processes.spawn(argv, self._environment(), self._paths.root, log)
