"""Runs: start the launcher of each queued one, pass a cancellation on, and notice one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from boxplat.core import processes
from boxplat.core.config import RunConfig
from boxplat.core.logs import last_words
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.queue import taking_over
from boxplat.runs.ledger import Ledger
from boxplat.runs.progress import close_tasks
from boxplat.runs.queue import turns

_CANCEL_SECONDS = 20.0
_CUT_OFF = "the box was cut off while it ran: killed, or the machine went down"
_MOST_CUT_OFF = 3
_LOOK_AGAIN = 0.2
# Of the queued runs: whoever is further back in line than this starts no sooner for being looked at.
_IN_SIGHT = 50
# Of what the machine has: a run that is started too early only waits in its first task instead.
_FRESH = 2.0


@dataclass(frozen=True, slots=True)
class Launcher:
    """A launcher that this supervisor has seen alive; `popen` is None for one that an earlier supervisor started."""

    pid: int
    ticks: float
    popen: subprocess.Popen[bytes] | None = None


class Launches:
    """The launcher processes of the runs that are not over, each started when the ledger has room for it.

    `lost` is set when one vanished, which may have left things unsent.
    """

    def __init__(
        self,
        state: StateStore,
        paths: Paths,
        environment: Callable[[], dict[str, str]],
        config: RunConfig,
        ledger: Ledger,
    ) -> None:
        self._most = config.max_runs or len(os.sched_getaffinity(0))
        self._resume = config.resume
        self._ledger = ledger
        self._next_look = 0.0
        self._state = state
        self._paths = paths
        self._environment = environment
        self._launchers: dict[int, Launcher] = {}
        self._cancelled: dict[int, float] = {}
        self.lost = False

    def adopt(self) -> set[int]:
        """Go on with the launchers that an earlier supervisor left; returns their pids."""
        active = self._state.runs.active()
        found = {run.id: self._find(run) for run in active}
        for run in active:
            if run.state is RunState.RUNNING and found[run.id] is None:
                self._cut_off(run)
        return {launcher.pid for launcher in found.values() if launcher is not None}

    def _cut_off(self, run: Run) -> None:
        """A run whose launcher ended together with the supervisor: with the machine, as a rule."""
        if run.cancel_requested:
            self._vanished(run)
        elif not self._state.queue.put_back(run.id, _CUT_OFF):
            self.lost = True
            close_tasks(self._state, run.id, RunState.FAILED, time.time())
            self._go_on(run)

    def _go_on(self, run: Run) -> None:
        """End a run that was cut off in the middle, and queue one that resumes it, unless that has been in vain."""
        times = int(run.options.get("cut_off", 0)) + 1
        if times > _MOST_CUT_OFF or not self._resume:
            error = f"{_CUT_OFF}   (go on: box run {run.flow} --resume {run.id})"
            self._state.runs.update(run.id, event="run.failed", state=RunState.FAILED, ended=time.time(), error=error)
            return
        options = {key: value for key, value in run.options.items() if key not in ("step", "first")}
        options |= {"resume": run.id, "cut_off": times}
        also = taking_over(run, _CUT_OFF)
        self._state.runs.add(run.flow, run.name, {}, options, "supervisor", run.priority, also)

    def tick(self, active: list[Run], stopping: bool) -> bool:
        """One step for every active run. Returns whether any launcher of one still lives."""
        self._reap({run.id for run in active})
        busy = False
        for run in active:
            launcher = self._find(run)
            if launcher is not None:
                busy = self._tend(run, launcher, stopping) or busy
            elif run.state is RunState.RUNNING or run.cancel_requested:
                self._vanished(run)
        return busy if stopping else self._admit(active) or busy

    def _admit(self, active: list[Run]) -> bool:
        """Start the queued runs whose turn it is and whose first step has room."""
        now = time.monotonic()
        queued = [run for run in active if run.state is RunState.QUEUED and run.id not in self._launchers]
        if now < self._next_look or all(run.held for run in queued):
            return False
        self._next_look = now + _LOOK_AGAIN
        waiting = [run for run in queued if not run.held]
        beyond = {run.id for run in waiting[_IN_SIGHT:]}
        near = [run for run in active if run.id not in beyond]
        found = turns(near, self._ledger.holdings(_FRESH), self._most, self._launchers.keys())
        chosen = [turn.run for turn in found if turn.go and not turn.run.cancel_requested]
        for run in chosen:
            self._start(run)
        return bool(chosen)

    def _find(self, run: Run) -> Launcher | None:
        if run.id not in self._launchers and run.pid is not None:
            ticks = self._state.runs.pid_started(run.id)
            if ticks is not None and processes.alive(run.pid, ticks):
                self._launchers[run.id] = Launcher(run.pid, ticks)
        return self._launchers.get(run.id)

    def _reap(self, active: set[int]) -> None:
        """Forget the launchers of runs that are over, once they have ended: until then they would be zombies."""
        for run_id in self._launchers.keys() - active:
            popen = self._launchers[run_id].popen
            if popen is None or popen.poll() is not None:
                del self._launchers[run_id]
                self._cancelled.pop(run_id, None)

    def _start(self, run: Run) -> None:
        folder = self._paths.run_dir(run.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "boxplat.runs.launcher", str(run.id)]
        env = self._environment() | {"BOXPLAT_RUN_ID": str(run.id)}
        popen = processes.spawn(argv, env, self._paths.root, self._paths.run_log(run.id))
        launcher = Launcher(popen.pid, processes.start_ticks(popen.pid) or 0.0, popen)
        self._launchers[run.id] = launcher
        # A supervisor that comes after this one must know it before it has claimed its run.
        self._state.runs.update(run.id, pid=launcher.pid, pid_started=launcher.ticks)

    def _tend(self, run: Run, launcher: Launcher, stopping: bool) -> bool:
        if launcher.popen is not None:
            launcher.popen.poll()
        if not processes.alive(launcher.pid, launcher.ticks):
            # What it started itself must not outlive it. Only now: later the number may be somebody else's.
            processes.signal_group(launcher.pid, signal.SIGKILL)
            del self._launchers[run.id]
            # One that was stopped before it had claimed its run leaves it in the queue, for the next `box up`.
            if run.state is RunState.RUNNING or not stopping:
                self._vanished(run)
            return False
        if run.cancel_requested or stopping:
            now = time.monotonic()
            first = self._cancelled.setdefault(run.id, now)
            if first == now:
                processes.signal_all([launcher.pid], signal.SIGTERM)
            elif now - first > _CANCEL_SECONDS:
                processes.signal_group(launcher.pid, signal.SIGKILL)
        return True

    def _vanished(self, run: Run) -> None:
        """The launcher is gone; if it left no verdict (it may have, since `run` was read), give one."""
        self.lost = True
        state = RunState.CANCELLED if run.cancel_requested else RunState.FAILED
        error = None
        if run.state is RunState.RUNNING or state is RunState.FAILED:
            why = "the launcher was killed" if run.state is RunState.RUNNING else "the launcher could not start"
            error = f"{why}\n{last_words(self._paths.run_log(run.id), 5)}".strip()
        close_tasks(self._state, run.id, state, time.time())
        self._state.runs.update(run.id, event=f"run.{state}", state=state, ended=time.time(), error=error)
