"""Made-up runs as `box runs show`, `metrics` and `compare` tell of them, and a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from boxplat.core.metrics import Execution, Fact, Point, Series, SideBySide
from boxplat.core.model import Dataset, Run, RunState, Task
from boxplat.core.profile import Profile
from boxplat.core.sweeps import Plan, Sweep, SweepState, Trial, TrialState
from boxplat.runs.profiles.recommend import Recommendation
from boxplat.runs.profiles.report import StepUse

MIB = 1024**2
TASKS = (
    ("start", 1, 0, RunState.SUCCEEDED, 0, 2, None),
    ("load", 2, 0, RunState.SUCCEEDED, 2, 9, None),
    ("fit", 3, 0, RunState.SUCCEEDED, 11, 41, 0),
    ("fit", 4, 1, RunState.SUCCEEDED, 11, 58, 1),
    ("fit", 5, 0, RunState.RUNNING, 60, None, 2),
)


def tasks_of(run: Run) -> tuple[Task, ...]:
    began = run.started or run.created
    return tuple(
        Task(run.id, step, str(number), attempt, state, began + start, began + end if end else None, index)
        for step, number, attempt, state, start, end, index in TASKS
    )


def series(name: str, values: Sequence[float]) -> Series:
    points = tuple(Point(step, float(step), value) for step, value in enumerate(values))
    return Series(name, "", points, len(points), min(values), max(values))


METRICS = (
    series("validation_loss", [0.9 * math.exp(-step / 8) + 0.3 for step in range(40)]),
    series("auc", [0.78 - 0.2 * math.exp(-step / 6) for step in range(40)]),
    series("rows", [336_776.0]),
)


def used(step: str, memory: int, asked: int, verdict: str) -> StepUse:
    line, why = "@resources(cpu=1, memory=376)", "memory=4000, used 358"
    asked_for = {"memory": float(asked), "cores": 2.0}
    wanted = Recommendation(step, line, 1, 376, 0.0, 0, 1.0, memory, 0, asked_for, verdict, why, 4, 4)
    return StepUse(step, 1, 12.5, memory, 0, 1.0, 11.0, 0.0, 8 * MIB, 12_000, 40.0, 0.0, asked_for, wanted)


class FakeHistory:
    """The runs of a fake box, looked back at. `measured` and `facts` are what it tells."""

    def __init__(self, runs: Callable[[], Sequence[Run]]) -> None:
        self._runs = runs
        self.tasks: tuple[Task, ...] | None = None
        self.measured: tuple[Series, ...] = METRICS
        self.facts: tuple[Fact, ...] = ()

    def show(self, run: int) -> Execution:
        found = next(one for one in self._runs() if one.id == run)
        attempt = Profile(run, "load", "2", 0, True, found.created, 7.0, 357 * MIB, cores=1.0)
        read = Dataset("read", "training.parquet", "039fb1a9a37ec7fe" * 4, "a.parquet", 1, 20 * MIB, "load", 1.0)
        return Execution(found, tasks_of(found) if self.tasks is None else self.tasks, (attempt,), (read,))

    def metrics(self, run: int) -> tuple[Series, ...]:
        return self.measured

    def compare(self, runs: Sequence[int]) -> SideBySide:
        found = tuple(next(one for one in self._runs() if one.id == number) for number in runs)
        return SideBySide(found, self.facts)


PLAN = Plan({"seeds": "3"}, {"epochs": ("4", "8", "12")}, metric="auc")
SWEEP = Sweep(3, "flows/train.py", "TrainFlow", PLAN, SweepState.RUNNING, 1_794_999_000.0, "ada/cli")
TRIALS = [
    Trial(3, 0, {"epochs": "4"}, TrialState.SUCCEEDED, True, 10, None, 0.74, started=1.0, ended=20.0),
    Trial(3, 1, {"epochs": "8"}, TrialState.SUCCEEDED, True, 12, None, 0.78, reported={0: 0.6, 1: 0.7, 2: 0.78}),
    Trial(3, 2, {"epochs": "12"}, TrialState.RUNNING, False, 14),
]


class FakeSweep:
    """The trials of the one sweep."""

    def show(self, number: int) -> list[Trial]:
        return TRIALS


class PastRuns:
    """The part of a fake box that looks back at runs."""

    def __init__(self, runs: Callable[[], Sequence[Run]]) -> None:
        self._all_runs = runs
        self.history = FakeHistory(runs)
        self.sweep = FakeSweep()

    def runs(self, limit: int) -> list[Run]:
        return list(self._all_runs())[:limit]

    def sweeps(self, limit: int) -> list[Sweep]:
        return [SWEEP]

    def usage(self, run: int) -> tuple[StepUse, ...]:
        return (used("load", 357 * MIB, 4_000_000_000, "over"), used("start", 40 * MIB, 80 * MIB, "fits"))
