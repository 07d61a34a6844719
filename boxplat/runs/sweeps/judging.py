"""What becomes of each trial: judged when its run is over, given up when it is hopeless, begun again when cut short."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace

from boxplat.adapters import search
from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import Sweep, Trial, TrialState
from boxplat.runs import batches
from boxplat.runs.links import say, tracking_url
from boxplat.runs.outbox import ANSWER
from boxplat.runs.sweeps.outcomes import Series, logged, outcome, whole

# A trial whose run was killed is begun again so often; more would repeat what kills it.
MOST_AGAIN = 2
ASK_TRACKING = 3.0


class Judge:
    """Looks at one trial at a time, and remembers how far it has read the values that runs report."""

    def __init__(self, state: StateStore, paths: Paths) -> None:
        self._state = state
        self._paths = paths
        self._series: dict[int, Series] = {}
        self._over: set[int] = set()
        self._asked: dict[int, float] = {}
        self._tracked: dict[int, dict[int, float]] = {}
        self._judged: dict[int, int] = {}

    def busy(self, trial: Trial) -> bool:
        """Whether a run of this trial is queued or running; one that was given up may still be ending."""
        if trial.run is None or trial.run in self._over:
            return False
        if self._state.runs.get(trial.run).state.over:
            self._over.add(trial.run)
        return trial.run not in self._over

    def stop(self, trial: Trial, by: str) -> None:
        """Cancel a trial's run, unless that was asked for already."""
        if trial.run is not None and self.busy(trial) and not self._state.runs.get(trial.run).cancel_requested:
            self._state.runs.request_cancel(trial.run, by)

    def look(self, sweep: Sweep, trial: Trial) -> None:
        """Take a trial as far as its run allows."""
        if trial.run is None:
            return
        if trial.settled:
            if trial.state is TrialState.PRUNED:
                # Its driver may have been killed before it could end the run.
                self.stop(trial, f"sweep/{sweep.id}: pruned")
            return
        run = self._state.runs.get(trial.run)
        if run.state.over:
            self._judge(sweep, trial, run)
        elif run.state is RunState.RUNNING and sweep.plan.pruner != "none":
            self._prune(sweep, trial, run)

    def _judge(self, sweep: Sweep, trial: Trial, run: Run) -> None:
        if run.state is RunState.SUCCEEDED:
            self._succeeded(sweep, trial, run)
        elif run.state is RunState.CANCELLED and not (run.cancel_requested or sweep.cancel_requested):
            # The box was stopped; nobody meant the trial.
            self._state.sweeps.begin_again([trial], interrupted=False)
        elif run.state is RunState.CANCELLED:
            self._state.sweeps.settle(trial, TrialState.CANCELLED, note="cancelled")
        elif _killed(run) and trial.interrupted < MOST_AGAIN and not sweep.cancel_requested:
            self._state.sweeps.begin_again([trial], interrupted=True)
        else:
            note = (run.error or "no error was recorded").partition("\n")[0]
            self._state.sweeps.settle(trial, TrialState.FAILED, note=note, reported=self._reported(sweep, run))

    def _succeeded(self, sweep: Sweep, trial: Trial, run: Run) -> None:
        if not sweep.plan.metric:
            self._state.sweeps.settle(trial, TrialState.SUCCEEDED)
            return
        reported = self._reported(sweep, run)
        if sweep.plan.pruner != "none":
            reported = {**self._logged(sweep, run, 0.0), **reported}
        found = outcome(self._state, self._paths, run, sweep.plan.metric, reported)
        if found is None:
            return
        if found.missing and found.value is not None and not self._add_metric(run, sweep.plan.metric, found.value):
            return
        self._state.sweeps.settle(trial, TrialState.SUCCEEDED, found.value, found.note, reported)

    def _prune(self, sweep: Sweep, trial: Trial, run: Run) -> None:
        values = {**self._logged(sweep, run, ASK_TRACKING), **self._reported(sweep, run)}
        if not values or len(values) == self._judged.get(run.id):
            return
        self._judged[run.id] = len(values)
        if search.hopeless(sweep.plan, self._state.sweeps.trials(sweep.id), replace(trial, reported=values)):
            step = max(values)
            note = f"given up at step {step}"
            self._state.sweeps.settle(trial, TrialState.PRUNED, values[step], note, values)
            self.stop(trial, f"sweep/{sweep.id}: pruned at step {step}")
            self._tag(run, {"boxplat.pruned": str(step)})
            say(f"trial {trial.number} (run {run.id}): {note}")

    def _reported(self, sweep: Sweep, run: Run) -> dict[int, float]:
        values: dict[int, float] = {}
        for one in reversed(whole(self._state, run)):
            if one.id not in self._series:
                self._series[one.id] = Series.of(self._paths, one.id, sweep.plan.metric)
            values |= self._series[one.id].read()
        return values

    def _logged(self, sweep: Sweep, run: Run, pause: float) -> Mapping[int, float]:
        """Values that the flow has logged with MLflow; asked for at most each `pause` seconds."""
        now, url = time.monotonic(), tracking_url(self._state)
        if url is None or (pause and now - self._asked.get(run.id, 0.0) < pause):
            return self._tracked.get(run.id, {})
        self._asked[run.id] = now
        try:
            self._tracked[run.id] = logged(TrackingApi(url, ANSWER), self._state, run, sweep.plan.metric)
        except (TrackingDownError, TrackingRefusedError):
            self._tracked.setdefault(run.id, {})
        return self._tracked[run.id]

    def _tag(self, run: Run, tags: Mapping[str, str]) -> None:
        """Tell MLflow too, where it answers; the state has it in any case."""
        url = tracking_url(self._state)
        if url is not None and run.tracking_run_id is not None:
            with contextlib.suppress(TrackingDownError, TrackingRefusedError):
                TrackingApi(url, ANSWER).log(run.tracking_run_id, tags=tags)

    def _add_metric(self, run: Run, metric: str, value: float) -> bool:
        """The value on the trial's own MLflow run, where a search for the best one finds it. False: try again."""
        url = tracking_url(self._state)
        if url is None or run.tracking_run_id is None:
            return False
        try:
            entry = (batches.key(metric), value, run.ended or run.created, 0)
            TrackingApi(url, ANSWER).log(run.tracking_run_id, metrics=[entry])
        except TrackingDownError:
            return False
        except TrackingRefusedError as error:
            say(f"{metric} of run {run.id} is not in MLflow: {error}")
        return True


def _killed(run: Run) -> bool:
    """Whether its end says nothing about the flow: the launcher was killed, or all of the box."""
    return run.exit_code is None and (run.error or "").startswith(("the launcher was killed", "the box was cut off"))
