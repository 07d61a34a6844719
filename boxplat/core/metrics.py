"""The nouns of what a run measured, and of runs side by side: frozen dataclasses, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from boxplat.core.model import Dataset, Run, Task
from boxplat.core.profile import Profile


class Point(NamedTuple):
    """A value of a metric at a step; `at` in seconds since the epoch."""

    step: int
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """A metric in the order of its steps.

    `source` names the nested MLflow run that has it, a task of a foreach say; empty for the run's own. `points` are at
    most some hundred, evenly thinned, always with the first and the last; `count`, `low` and `high` are of all.
    """

    name: str
    source: str
    points: tuple[Point, ...]
    count: int
    low: float
    high: float

    @property
    def last(self) -> Point:
        return self.points[-1]


@dataclass(frozen=True, slots=True)
class Execution:
    """A run with its tasks, every attempt at them that was measured, and the data that it read and wrote.

    `freed` is when `box gc` took its artifacts and log.
    """

    run: Run
    tasks: tuple[Task, ...]
    attempts: tuple[Profile, ...]
    data: tuple[Dataset, ...]
    freed: float | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of several runs, in their order; None where a run does not have it.

    `group` is run, parameter, metric, step, code or data. `differs`: not all of them are the same.
    """

    group: str
    name: str
    values: tuple[str | float | None, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Runs beside each other."""

    runs: tuple[Run, ...]
    facts: tuple[Fact, ...] = ()
    notes: Mapping[int, str] = field(default_factory=dict)
