"""Optuna: what to try next, and what to give up. The one home of optuna.

Nothing is kept here: the study is made anew from the trials in the state, so that no second store can disagree with it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.sweeps import Plan, Trial, TrialState

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random")
Direction = Literal["minimize", "maximize"]


class Range(Protocol):
    """Numbers from `low` to `high`, both included, or one of `choices`."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def step(self) -> float | None: ...
    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def whole(self) -> bool: ...
    @property
    def log(self) -> bool: ...


def must_be_there() -> None:
    """Refuse early where Optuna is not installed.

    Raises:
        BoxError: it is not (exit code 4).
    """
    if importlib.util.find_spec("optuna") is None:
        raise BoxError(
            "a search needs Optuna, which is not installed",
            why="it is an extra of boxplat, because grids work without it",
            fix="pip install 'boxplat[search]'",
            code=ExitCode.PRECONDITION,
        )


def percentile(pruner: str) -> float | None:
    """The share in percent of trials that a pruner lets go on, None for `none`.

    Raises:
        BoxError: no such pruner (exit code 2).
    """
    name, _, number = pruner.partition(":")
    if pruner == "none":
        return None
    if pruner == "median":
        return 50.0
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if name != "percentile" or not 0.0 < share < 100.0:
        raise BoxError(
            f"--pruner {pruner} is not known",
            why="known: none, median, percentile:P with P between 0 and 100",
            fix="--pruner median   (gives up a trial that is worse at a step than half of the others were)",
            code=ExitCode.USAGE,
        )
    return share


def suggest(plan: Plan, space: Mapping[str, Range], trials: Iterable[Trial], number: int) -> dict[str, str]:
    """The parameters of the next trial of a search, as texts; the same for the same trials and seed.

    Args:
        trials: all so far; one without an outcome counts as under way.
        number: of the next one.
    """
    import optuna

    ranges = {name: _distribution(one) for name, one in space.items()}
    if plan.sampler == "random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=plan.seed * 1_000_003 + number)
    else:
        # Those under way count as bad, or trials at once would all be drawn from the same place.
        sampler = optuna.samplers.TPESampler(seed=plan.seed * 1_000_003 + number, constant_liar=True)
    asked = _study(plan, ranges, trials, sampler).ask(ranges)
    return {name: _text(space[name], asked.params[name]) for name in space}


def hopeless(plan: Plan, trials: Iterable[Trial], trial: Trial) -> bool:
    """Whether a trial is to be given up after the newest of its intermediate values."""
    import optuna

    share = percentile(plan.pruner)
    if share is None or not trial.reported:
        return False
    study = _study(plan, {}, trials, None)
    # Optuna's own: not before five trials have ended.
    pruner = optuna.pruners.PercentilePruner(share, n_startup_trials=5, n_warmup_steps=0, n_min_trials=1)
    frozen = _frozen(trial, {}, optuna.trial.TrialState.RUNNING)
    return bool(pruner.prune(study, frozen))


def shared_study(file: Path, name: str, direction: Direction) -> optuna.Study:
    """A study in an SQLite file, made or opened; several processes may do so at once."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.touch(mode=0o600)
    with file.with_suffix(".lock").open("w") as lock:
        # Two that make the tables at once would both fail.
        fcntl.flock(lock, fcntl.LOCK_EX)
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 60}})
        return optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)


def _study(
    plan: Plan,
    ranges: Mapping[str, Any],
    trials: Iterable[Trial],
    sampler: optuna.samplers.BaseSampler | None,
) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Direction = "maximize" if plan.mode == "max" else "minimize"
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.add_trials([_frozen(trial, ranges, _state(trial)) for trial in trials])
    return study


def _state(trial: Trial) -> optuna.trial.TrialState:
    import optuna

    states = optuna.trial.TrialState
    if not trial.settled:
        return states.RUNNING
    if trial.state is TrialState.PRUNED and trial.reported:
        return states.PRUNED
    return states.COMPLETE if trial.state is TrialState.SUCCEEDED and trial.value is not None else states.FAIL


def _frozen(trial: Trial, ranges: Mapping[str, Any], state: optuna.trial.TrialState) -> optuna.trial.FrozenTrial:
    import optuna

    params = {name: _value(distribution, trial.params[name]) for name, distribution in ranges.items()}
    frozen = optuna.trial.create_trial(
        state=state,
        value=trial.value if state is optuna.trial.TrialState.COMPLETE else None,
        params=params,
        distributions=dict(ranges),
        intermediate_values={step: value for step, value in trial.reported.items() if math.isfinite(value)},
    )
    frozen.number = trial.number
    return frozen


def _distribution(one: Range) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.choices:
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _value(distribution: Any, text: str) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return text
    return int(text) if isinstance(distribution, IntDistribution) else float(text)


def _text(one: Range, value: Any) -> str:
    if one.choices:
        return str(value)
    return str(int(value)) if one.whole else repr(float(value))
