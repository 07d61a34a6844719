"""Runs: start the launcher of each queued one, pass a cancellation on, and notice one that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from boxplat.core import processes
from boxplat.core.logs import tail
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore

_CANCEL_SECONDS = 20.0


class Launches:
    """The launcher processes of the runs that are not over. `lost`: one vanished and may have left things unsent."""

    def __init__(self, state: StateStore, paths: Paths, environment: Callable[[], dict[str, str]]) -> None:
        self._state = state
        self._paths = paths
        self._environment = environment
        self._started: dict[int, tuple[int, float]] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._cancelled: dict[int, float] = {}
        self.lost = False

    def tick(self, active: list[Run], stopping: bool) -> bool:
        """One step for every active run. Returns whether any launcher still lives."""
        busy = False
        for run in active:
            if run.state is RunState.QUEUED and run.id not in self._started:
                if not stopping:
                    self._start(run)
                    busy = True
                continue
            busy = self._tend(run, stopping) or busy
        return busy

    def known(self) -> set[int]:
        """Pids of launchers that are recorded and alive, an earlier supervisor's included."""
        found = set()
        for run in self._state.runs.active():
            pid, ticks = self._identity(run)
            if processes.alive(pid, ticks):
                found.add(pid)
        return {pid for pid in found if pid is not None}

    def _start(self, run: Run) -> None:
        folder = self._paths.run_dir(run.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "boxplat.runs.launcher", str(run.id)]
        env = self._environment() | {"BOXPLAT_RUN_ID": str(run.id)}
        popen = processes.spawn(argv, env, self._paths.root, self._paths.run_log(run.id))
        self._started[run.id] = (popen.pid, processes.start_ticks(popen.pid) or 0.0)
        self._children[run.id] = popen

    def _identity(self, run: Run) -> tuple[int | None, float | None]:
        if run.id in self._started:
            return self._started[run.id]
        return run.pid, self._state.runs.pid_started(run.id)

    def _tend(self, run: Run, stopping: bool) -> bool:
        pid, ticks = self._identity(run)
        popen = self._children.get(run.id)
        if popen is not None:
            popen.poll()
        if not processes.alive(pid, ticks):
            self._vanished(run, pid)
            return False
        assert pid is not None
        if run.cancel_requested or stopping:
            now = time.monotonic()
            first = self._cancelled.setdefault(run.id, now)
            if first == now:
                processes.signal_all([pid], signal.SIGTERM)
            elif now - first > _CANCEL_SECONDS:
                processes.signal_group(pid, signal.SIGKILL)
        return True

    def _vanished(self, run: Run, pid: int | None) -> None:
        """The launcher is gone; if it left no verdict (it may have, since `run` was read), give one."""
        self.lost = True
        self._started.pop(run.id, None)
        self._children.pop(run.id, None)
        if pid is not None:
            processes.signal_group(pid, signal.SIGKILL)
        words = [line for line in tail(self._paths.run_log(run.id), 5) if line.strip()]
        why = "the launcher was killed" if run.state is RunState.RUNNING else "the launcher could not start"
        self._state.runs.update(
            run.id,
            event="run.failed",
            state=RunState.FAILED.value,
            ended=time.time(),
            error="\n".join([why, *words]),
        )
