"""One sweep's process: queues trials, judges them, gives up the hopeless ones, and tells MLflow of the end.

`python -m boxplat.runs.sweeps.driver SWEEP` with the project as the working folder. It may be killed at any point and
started again: all that it goes by is in the state, and a trial's run is found by its options before one is queued.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

from boxplat.adapters import search
from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core import config as settings
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import Sweep, SweepState, Trial, TrialState, best
from boxplat.runs import control
from boxplat.runs.links import say, tracking_url
from boxplat.runs.outbox import ANSWER
from boxplat.runs.sweeps import parent, space
from boxplat.runs.sweeps.judging import Judge

POLL = 0.2
LOOK_AGAIN = 1.0
# A server that does not answer must not hold up the trials.
TELL_AGAIN = 15.0
AT_ONCE = {"grid": 100, "search": 2}
# A search whose first trials all fail is not going to find anything.
HOPE = 5


class Driver:
    """A sweep under way."""

    def __init__(self, state: StateStore, paths: Paths, config: Config, sweep_id: int) -> None:
        self._state = state
        self._paths = paths
        self._config = config
        self._id = sweep_id
        self._judge = Judge(state, paths)

    def step(self) -> bool:
        """Do whatever can be done now. Returns whether the sweep is over."""
        sweep = self._state.sweeps.get(self._id)
        if sweep.state.over:
            return True
        for trial in self._state.sweeps.trials(self._id):
            self._judge.look(sweep, trial)
        trials = self._state.sweeps.trials(self._id)
        if sweep.cancel_requested:
            self._cancel(trials)
        else:
            self._fill(sweep, trials)
        return self._end(self._state.sweeps.get(self._id), self._state.sweeps.trials(self._id))

    def _cancel(self, trials: list[Trial]) -> None:
        for trial in trials:
            if trial.run is None and not trial.settled:
                self._state.sweeps.settle(trial, TrialState.CANCELLED)
            elif not trial.settled:
                self._judge.stop(trial, f"sweep/{self._id}: cancelled")

    def _fill(self, sweep: Sweep, trials: list[Trial]) -> None:
        """Queue as many trials as may be under way at once."""
        free = (sweep.plan.parallel or AT_ONCE[sweep.plan.kind]) - sum(map(self._judge.busy, trials))
        for trial in [trial for trial in trials if trial.run is None and not trial.settled][: max(free, 0)]:
            self._queue(sweep, trial)
            free -= 1
        while free > 0 and self._more(sweep, trials):
            number = len(trials)
            params = search.suggest(sweep.plan, space.read(sweep.plan.space), trials, number)
            self._state.sweeps.add_trial(sweep.id, number, params)
            trials.append(Trial(sweep.id, number, params, TrialState.WAITING))
            self._queue(sweep, trials[-1])
            free -= 1

    @staticmethod
    def _more(sweep: Sweep, trials: list[Trial]) -> bool:
        """Whether a search draws further trials."""
        return bool(sweep.plan.space) and len(trials) < sweep.plan.trials and not _futile(trials)

    def _queue(self, sweep: Sweep, trial: Trial) -> None:
        options = {**sweep.plan.options, "sweep": sweep.id, "trial": trial.number}
        params = {**sweep.plan.params, **trial.params}
        try:
            run = control.start(
                self._state, self._paths, self._config, sweep.flow, params, options, f"sweep/{sweep.id}"
            )
        except BoxError as error:
            self._state.sweeps.settle(trial, TrialState.FAILED, note=f"{error.what}: {error.why}")
            return
        say(f"trial {trial.number} is run {run.id}: {' '.join(f'{name}={v}' for name, v in trial.params.items())}")

    def _end(self, sweep: Sweep, trials: list[Trial]) -> bool:
        left = [trial for trial in trials if not trial.settled or self._judge.busy(trial)]
        if left or (not sweep.cancel_requested and self._more(sweep, trials)):
            return False
        bad = [trial for trial in trials if trial.state in (TrialState.FAILED, TrialState.CANCELLED)]
        state = SweepState.FAILED if bad else SweepState.SUCCEEDED
        error = f"{len(bad)} of {len(trials)} trials failed; trial {bad[0].number}: {bad[0].note}" if bad else ""
        if sweep.cancel_requested:
            state, error = SweepState.CANCELLED, ""
        elif _futile(trials) and sweep.plan.space and len(trials) < sweep.plan.trials:
            error = f"given up: none of the first {len(trials)} trials succeeded; trial {bad[0].number}: {bad[0].note}"
        winner = best(sweep.plan, trials)
        told = {"trials": len(trials), "best": winner and winner.number, "value": winner and winner.value}
        self._state.sweeps.end(sweep.id, state, error, told)
        say(f"sweep {sweep.id}: {state} {error}".strip())
        return True

    def announce(self) -> bool:
        """Bring the sweep's MLflow run up to date. False: MLflow does not answer."""
        sweep = self._state.sweeps.get(self._id)
        url = tracking_url(self._state)
        if url is None:
            return False
        try:
            api = TrackingApi(url, ANSWER)
            run_id = parent.of(api, self._state, self._paths, sweep)
            if sweep.state.over:
                parent.close(api, run_id, sweep, self._state.sweeps.trials(self._id))
            else:
                api.reopen(run_id)
        except TrackingDownError:
            return False
        except TrackingRefusedError as error:
            say(f"this sweep is not tracked: {error}")
        return True


def _futile(trials: list[Trial]) -> bool:
    lost = [trial for trial in trials if trial.settled and trial.state is TrialState.FAILED]
    good = (TrialState.SUCCEEDED, TrialState.PRUNED)
    return len(lost) >= HOPE and not any(trial.state in good for trial in trials)


def main(sweep_id: int) -> int:
    """Drive a sweep of the project in the working folder to its end; returns the exit status."""
    paths = Paths(Path(os.environ.get("BOXPLAT_PROJECT") or os.getcwd()))
    state = StateStore.open(paths)
    lock = os.open(paths.state / "sweeps.driven", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # One byte of the file for each sweep; the kernel frees it however this process ends.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, sweep_id)
    except OSError:
        return 0
    supervisor = os.getppid()
    driver = Driver(state, paths, settings.load(paths.config, os.environ), sweep_id)
    told, tell_again = False, 0.0
    seen, next_look = None, 0.0
    while os.getppid() == supervisor:
        version, now = state.database.version(), time.monotonic()
        if version != seen or now >= next_look:
            if not told and now >= tell_again:
                told, tell_again = driver.announce(), time.monotonic() + TELL_AGAIN
            if driver.step():
                break
            seen, next_look = state.database.version(), now + LOOK_AGAIN
        time.sleep(POLL)
    if state.sweeps.get(sweep_id).state.over and driver.announce():
        state.sweeps.paid(sweep_id)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
