"""What becomes of trials, without a flow: runs are rows that the tests move on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import Plan, Sweep, SweepState, Trial, TrialState
from boxplat.runs import spool
from boxplat.runs.sweeps import control
from boxplat.runs.sweeps.driver import Driver
from boxplat.runs.sweeps.judging import MOST_AGAIN

FLOW = (Path(__file__).parent / "flows" / "score.py").read_text()
OVER = time.time() - 1000


class World:
    """A project whose runs do nothing by themselves, and the driver of one sweep."""

    def __init__(self, state: StateStore, root: Path) -> None:
        self.state, self.paths, self.config = state, Paths(root), Config()
        (root / "flows").mkdir()
        (root / "flows" / "score.py").write_text(FLOW)

    def start(self, params: dict[str, list[str]], **plan: Any) -> Sweep:
        return control.start(self.state, self.paths, self.config, "flows/score.py", params, Plan(**plan), "test")

    def driver(self, sweep: Sweep) -> Driver:
        return Driver(self.state, self.paths, self.config, sweep.id)

    def trials(self) -> list[Trial]:
        return self.state.sweeps.trials(1)

    def end(self, run: int | None, state: RunState = RunState.SUCCEEDED, **fields: Any) -> None:
        assert run is not None
        self.state.runs.update(run, state=state, ended=OVER, **fields)

    def report(self, run: int | None, values: list[float]) -> None:
        assert run is not None
        folder = self.paths.run_dir(run)
        folder.mkdir(parents=True, exist_ok=True)
        for step, value in enumerate(values):
            record = {"kind": "report", "at": 1.0, "metric": "auc", "index": step, "value": value}
            spool.append(folder / "spool.jsonl", record)


@pytest.fixture
def world(state: StateStore, project: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return World(state, project)


GRID = {"lr": ["0.1", "0.2"], "width": ["1", "2"], "fail": ["x"]}


def test_a_grid_is_every_combination_each_queued_once(world: World) -> None:
    sweep = world.start(GRID, metric="auc")
    driver = world.driver(sweep)
    assert not driver.step()
    assert not driver.step()
    # Another driver, as after a kill, finds them queued.
    assert not world.driver(sweep).step()
    runs = world.state.runs.all()
    assert [run.params for run in reversed(runs)] == [
        {"fail": "x", "lr": lr, "width": width} for lr in ("0.1", "0.2") for width in ("1", "2")
    ]
    assert {run.priority for run in runs} == {"batch"}


def test_no_more_than_allowed_are_under_way_and_a_search_goes_on_to_its_number(world: World) -> None:
    world.start({}, space={"lr": "log:1e-3..1e-1"}, metric="auc", trials=5, parallel=2)
    driver = world.driver(world.state.sweeps.get(1))
    while not driver.step():
        active = world.state.runs.active()
        assert 1 <= len(active) <= 2
        world.report(active[0].id, [0.5])
        world.end(active[0].id)
    assert [trial.value for trial in world.trials()] == [0.5] * 5
    assert world.state.sweeps.get(1).state is SweepState.SUCCEEDED


def test_a_search_whose_first_trials_all_fail_is_given_up(world: World) -> None:
    world.start({}, space={"lr": "log:1e-3..1e-1"}, metric="auc", trials=50)
    driver = world.driver(world.state.sweeps.get(1))
    while not driver.step():
        for run in world.state.runs.active():
            world.end(run.id, RunState.FAILED, exit_code=1, error="no such data")
    sweep = world.state.sweeps.get(1)
    assert sweep.state is SweepState.FAILED
    assert "no such data" in sweep.error
    assert len(world.trials()) < 10


def ended(world: World, run: Run, how: str) -> None:
    if how == "user":
        world.state.runs.request_cancel(run.id, "somebody")
    elif how == "down":
        world.end(run.id, RunState.CANCELLED)
    elif how == "killed":
        world.end(run.id, RunState.FAILED, error="the launcher was killed\n…")
    else:
        world.end(run.id, RunState.FAILED, exit_code=1, error=f"step start failed: {how}")


@pytest.mark.parametrize(
    ("how", "outcome", "runs"),
    [
        ("user", TrialState.CANCELLED, 1),
        ("ValueError", TrialState.FAILED, 1),
        ("killed", TrialState.FAILED, 1 + MOST_AGAIN),
        # By `box down`, as often as it may come.
        ("down", TrialState.QUEUED, 6),
    ],
)
def test_only_what_was_cut_short_is_begun_again(world: World, how: str, outcome: TrialState, runs: int) -> None:
    world.start({"lr": ["0.1", "0.2"]})
    driver = world.driver(world.state.sweeps.get(1))
    driver.step()
    for _ in range(5):
        run = world.trials()[0].run
        assert run is not None
        if not world.state.runs.get(run).state.over:
            ended(world, world.state.runs.get(run), how)
        driver.step()
    assert world.trials()[0].state is outcome
    first = [run for run in world.state.runs.all() if run.options["trial"] == 0]
    assert len(first) == runs
    assert world.trials()[1].run == 2


def test_resume_runs_only_what_is_missing_and_refuses_when_nothing_is(world: World) -> None:
    world.start({"lr": ["0.1", "0.2", "0.3"]})
    driver = world.driver(world.state.sweeps.get(1))
    driver.step()
    with pytest.raises(BoxError, match="is under way"):
        control.resume(world.state, 1, "test")
    world.end(1)
    world.end(2, RunState.FAILED, exit_code=1, error="asked to fail")
    world.end(3)
    assert driver.step()
    assert world.state.sweeps.get(1).state is SweepState.FAILED
    control.resume(world.state, 1, "test")
    driver = world.driver(world.state.sweeps.get(1))
    driver.step()
    assert [trial.run for trial in world.trials()] == [1, 4, 3]
    world.end(4)
    assert driver.step()
    with pytest.raises(BoxError, match="nothing is missing"):
        control.resume(world.state, 1, "test")


def test_cancel_ends_queued_runs_and_begins_no_other(world: World) -> None:
    world.start({"lr": ["0.1", "0.2", "0.3"]}, parallel=1)
    driver = world.driver(world.state.sweeps.get(1))
    driver.step()
    control.cancel(world.state, 1, "test")
    while not driver.step():
        pass
    assert [trial.state for trial in world.trials()] == [TrialState.CANCELLED] * 3
    assert len(world.state.runs.all()) == 1
    assert world.state.sweeps.get(1).state is SweepState.CANCELLED
    with pytest.raises(BoxError, match="is over already"):
        control.cancel(world.state, 1, "test")


def test_a_hopeless_trial_ends_as_pruned_and_its_run_is_cancelled(world: World) -> None:
    world.start({"lr": [f"0.{n}" for n in range(1, 8)]}, metric="auc", pruner="median", parallel=7)
    driver = world.driver(world.state.sweeps.get(1))
    driver.step()
    for trial in world.trials()[:5]:
        world.report(trial.run, [0.5, 0.6])
        world.end(trial.run)
    driver.step()
    bad, good = world.trials()[5:]
    for trial, value in ((bad, 0.1), (good, 0.9)):
        assert trial.run is not None
        world.state.runs.claim(trial.run, 1, 1.0)
        world.report(trial.run, [value])
    driver.step()
    bad, good = world.trials()[5:]
    assert (bad.state, good.state) == (TrialState.PRUNED, TrialState.RUNNING)
    assert bad.value == 0.1
    assert bad.run is not None
    assert world.state.runs.get(bad.run).cancel_requested
    # The sweep waits for the run to end, and a pruned trial makes it no failure.
    world.end(good.run)
    assert not driver.step()
    world.end(bad.run, RunState.CANCELLED)
    assert driver.step()
    sweep = world.state.sweeps.get(1)
    assert (sweep.state, sweep.error) == (SweepState.SUCCEEDED, "")


def test_a_driver_killed_while_it_prunes_leaves_no_run_behind(world: World) -> None:
    world.start({"lr": ["0.1", "0.2"]}, metric="auc", pruner="median")
    sweep = world.state.sweeps.get(1)
    world.driver(sweep).step()
    world.state.sweeps.settle(world.trials()[0], TrialState.PRUNED, 0.1, "", {0: 0.1})
    world.driver(sweep).step()
    assert world.state.runs.get(1).cancel_requested
    assert not world.state.runs.get(2).cancel_requested


@pytest.mark.parametrize(
    ("params", "plan", "why"),
    [
        ({"lr": ["1"]}, {}, "no parameter has several values"),
        ({"lr": []}, {}, "no value at all"),
        ({"lr": ["1", "2"]}, {"space": {"width": "int:1..2"}, "metric": "auc"}, "draws its values itself"),
        ({"lr": ["1"]}, {"space": {"lr": "float:1..2"}, "metric": "auc"}, "either fixed or searched for"),
        ({}, {"space": {"lr": "float:1..2"}}, "what is good"),
        ({"lr": ["1", "2"]}, {"pruner": "median"}, "intermediate values"),
        ({"lr": ["1", "2"]}, {"options": {"once": True}}, "about one run"),
        ({"lr": [str(n) for n in range(101)], "width": [str(n) for n in range(100)]}, {}, "at most"),
        ({"lt": ["1", "2"]}, {}, "known: fail, hold, lr, width"),
    ],
)
def test_a_sweep_that_could_not_run_is_refused_and_leaves_nothing(
    world: World, params: dict[str, list[str]], plan: dict[str, Any], why: str
) -> None:
    with pytest.raises(BoxError) as caught:
        world.start(params, **plan)
    assert caught.value.code == ExitCode.USAGE
    assert why in caught.value.why
    assert world.state.sweeps.all() == []


def test_a_flow_that_was_spoilt_meanwhile_fails_its_trials_and_a_resume_runs_them(world: World) -> None:
    world.start({"lr": ["0.1", "0.2"]})
    flow = world.paths.root / "flows" / "score.py"
    flow.write_text("class")
    assert world.driver(world.state.sweeps.get(1)).step()
    assert {trial.state for trial in world.trials()} == {TrialState.FAILED}
    assert "not a Metaflow flow" in world.state.sweeps.get(1).error
    flow.write_text(FLOW)
    control.resume(world.state, 1, "test")
    world.driver(world.state.sweeps.get(1)).step()
    assert {trial.state for trial in world.trials()} == {TrialState.QUEUED}


def test_a_trial_that_goes_on_after_a_power_cut_has_what_its_origin_had_found(world: World) -> None:
    world.start({"lr": ["0.1", "0.2"]}, metric="auc")
    driver = world.driver(world.state.sweeps.get(1))
    driver.step()
    folder = world.paths.run_dir(1)
    folder.mkdir(parents=True)
    task = {"at": 5.0, "run": "1", "step": "start", "task": "1", "attempt": 0}
    spool.append(folder / "spool.jsonl", {"kind": "start", **task, "stack": []})
    spool.append(folder / "spool.jsonl", {"kind": "end", **task, "ok": True, "artifacts": {"auc": 0.8}, "digests": {}})
    # As the supervisor does when the machine went down while the run was under way.
    origin = world.state.runs.get(1)
    resumed = world.state.runs.add(origin.flow, origin.name, {}, {**origin.options, "resume": 1}, "supervisor")
    world.end(1, RunState.FAILED, error="the box was cut off while it ran")
    driver.step()
    assert world.trials()[0].run == resumed.id
    world.end(resumed.id)
    world.end(2)
    assert driver.step()
    assert [trial.value for trial in world.trials()] == [0.8, None]
    assert "no metric 'auc'" in world.trials()[1].note
    assert len(world.state.runs.all()) == 3
