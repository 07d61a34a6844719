"""Whatever happens in whatever order: no trial is lost, and none runs beside itself or again after it has succeeded."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from boxplat.core.errors import BoxError
from boxplat.core.model import RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import TrialState
from boxplat.runs.sweeps import control
from tests.runs.sweeps.test_judging import World, ended


class AnyOrder(RuleBasedStateMachine):
    """A grid of four, or a search of five, whose runs and drivers end in every way there is."""

    @initialize(search=st.booleans(), parallel=st.integers(0, 3))
    def begin(self, search: bool, parallel: int) -> None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        self.state = StateStore.open(Paths(root))
        self.world = World(self.state, root)
        if search:
            space = {"lr": "float:0..1"}
            self.world.start({}, space=space, metric="auc", trials=5, parallel=parallel, sampler="random")
        else:
            self.world.start({"lr": ["1", "2", "3", "4"]}, parallel=parallel)
        self.total = 5 if search else 4
        self.driver = self.world.driver(self.state.sweeps.get(1))
        self.done: set[int] = set()

    @rule()
    def drive(self) -> None:
        self.driver.step()

    @rule()
    def kill_the_driver(self) -> None:
        self.driver = self.world.driver(self.state.sweeps.get(1))

    @rule(which=st.integers(0, 4), how=st.sampled_from(["ok", "ok", "user", "down", "killed", "ValueError"]))
    def end_a_run(self, which: int, how: str) -> None:
        active = self.state.runs.active()
        if not active:
            return
        run = active[which % len(active)]
        if how == "ok":
            self.world.report(run.id, [0.5])
            self.world.end(run.id)
            self.done.add(int(run.options["trial"]))
        else:
            ended(self.world, run, how)

    @rule()
    def cancel(self) -> None:
        if not self.state.sweeps.get(1).state.over:
            control.cancel(self.state, 1, "test")

    @rule()
    def resume(self) -> None:
        try:
            control.resume(self.state, 1, "test")
        except BoxError as error:
            assert "under way" in error.what or "nothing is missing" in error.what

    @invariant()
    def no_trial_runs_beside_itself_or_after_its_success(self) -> None:
        if not hasattr(self, "state"):
            return
        by_trial: dict[int, list[RunState]] = {}
        for run in reversed(self.state.runs.all(1000)):
            by_trial.setdefault(int(run.options["trial"]), []).append(run.state)
        for states in by_trial.values():
            assert sum(not state.over for state in states) <= 1
            assert RunState.SUCCEEDED not in states[:-1]

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        # Left alone, and resumed where it was cut, the sweep ends with every trial.
        for _ in range(40):
            if self.driver.step():
                try:
                    control.resume(self.state, 1, "test")
                except BoxError:
                    break
            for run in self.state.runs.active():
                self.world.report(run.id, [0.5])
                self.world.end(run.id)
        trials = self.state.sweeps.trials(1)
        assert [trial.state for trial in trials] == [TrialState.SUCCEEDED] * self.total
        self.state.close()
        self.folder.cleanup()


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestAnyOrder = AnyOrder.TestCase
