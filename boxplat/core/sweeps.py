"""The nouns of sweeps: a plan, its trials, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class TrialState(StrEnum):
    """Where a trial is: `waiting` has no run yet, the others are those of its run, or `pruned`."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PRUNED = "pruned"


class SweepState(StrEnum):
    """Where a sweep is in its life; `failed`: at least one of its trials did."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self is not SweepState.RUNNING


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep is to try.

    Args:
        params: parameters that are the same in every trial.
        grid: the values of each parameter of a grid; every combination is a trial.
        space: the range of each parameter of a search, as written (`log:1e-5..1e-1`).
        metric: what trials are judged by; empty: none is the best.
        mode: `max` or `min`.
        trials: of a search, in all.
        parallel: trials queued or running at once (0: all of a grid, two of a search).
        sampler: `tpe` or `random`.
        pruner: `none`, `median` or `percentile:P`.
        seed: of the sampler.
        options: of every trial's run, as `boxplat.runs.start` takes them.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    grid: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    space: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""
    mode: str = "max"
    trials: int = 20
    parallel: int = 0
    sampler: str = "tpe"
    pruner: str = "none"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "search" if self.space else "grid"

    @property
    def varied(self) -> tuple[str, ...]:
        """The parameters that differ from trial to trial."""
        return tuple(self.space or self.grid)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        grid = {name: tuple(values) for name, values in data["grid"].items()}
        return cls(**{**data, "grid": grid})


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination of parameters, counted from 0.

    `run` is its newest run and `tracking_run_id` that run's in MLflow. `settled`: its outcome is final. `reported` are
    the intermediate values by step. `interrupted` is how often it was begun again because its run was cut short.
    """

    sweep: int
    number: int
    params: Mapping[str, str]
    state: TrialState
    settled: bool = False
    run: int | None = None
    tracking_run_id: str | None = None
    value: float | None = None
    note: str = ""
    reported: Mapping[int, float] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    interrupted: int = 0


@dataclass(frozen=True, slots=True)
class Sweep:
    """Many runs of one flow with different parameters. `tracking_run_id` is the parent of their MLflow runs."""

    id: int
    flow: str
    name: str
    plan: Plan
    state: SweepState
    created: float
    created_by: str
    ended: float | None = None
    tracking_run_id: str | None = None
    error: str = ""
    cancel_requested: bool = False


def best(plan: Plan, trials: list[Trial]) -> Trial | None:
    """The trial with the best value among those that succeeded; of equal ones the first."""
    judged = [trial for trial in trials if trial.state is TrialState.SUCCEEDED and trial.value is not None]
    if not plan.metric or not judged:
        return None
    sign = -1.0 if plan.mode == "max" else 1.0
    return min(judged, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def ranked(plan: Plan, trials: list[Trial]) -> list[Trial]:
    """Those that have a value by it, the best first, then the others by number."""
    sign = -1.0 if plan.mode == "max" else 1.0
    finished = TrialState.SUCCEEDED
    return sorted(
        trials,
        key=lambda trial: (
            trial.state is not finished or trial.value is None,
            sign * trial.value if trial.state is finished and trial.value is not None else 0.0,
            trial.number,
        ),
    )
