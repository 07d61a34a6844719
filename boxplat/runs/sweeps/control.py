"""The verbs on sweeps: start, resume, cancel, wait. They write desired state; a driver process acts on it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from boxplat.adapters import search
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import Plan, Sweep, Trial, TrialState
from boxplat.runs import control
from boxplat.runs.sweeps import space, values
from boxplat.supervisor.lock import holder

MOST_TRIALS = 10_000
POLL = 0.2


def apart(paths: Paths, flow: str, params: Mapping[str, str]) -> dict[str, list[str]]:
    """The values of each parameter, as they are written on the command line: with commas between them.

    Raises:
        BoxError: there is no such flow (exit code 9), or the values make no sense (2).
    """
    if not any("," in text for text in params.values()):
        return {name: [text] for name, text in params.items()}
    return values.several(params, values.whole(control.find(paths, flow)))


def start(
    state: StateStore,
    paths: Paths,
    config: Config,
    flow: str,
    params: Mapping[str, Sequence[str]],
    plan: Plan,
    by: str,
) -> Sweep:
    """Begin a sweep, after checking what can be checked without running a trial.

    Args:
        params: the values of each parameter; where there are several, all combinations are trials.
        plan: the rest; with a `space` it is a search.

    Raises:
        BoxError: no such flow (exit code 9), an unknown parameter, range or pruner (2), no Optuna (4), or a step
            that needs more than this machine has (8).
    """
    plan = replace(
        plan,
        params={name: found[0] for name, found in params.items() if len(found) == 1},
        grid={name: tuple(found) for name, found in params.items() if len(found) != 1},
        # Many runs that nobody waits for one by one let others pass.
        options={"priority": "batch", **{name: said for name, said in plan.options.items() if said}},
    )
    _check(plan)
    trials = _combinations(plan)
    named = {**plan.params, **(trials[0] if trials else dict.fromkeys(plan.space, ""))}
    _, stored, declared = control.check(state, paths, flow, named, plan.options, config)
    return state.sweeps.add(stored, declared.name, plan, trials, by)


def _check(plan: Plan) -> None:
    why, fix = _search_wrong(plan) if plan.space else _grid_wrong(plan)
    if plan.options.get("resume") is not None or plan.options.get("once"):
        why, fix = "--resume and --once are about one run", "box sweep resume NUMBER   (runs only what is missing)"
    if why:
        raise BoxError("this is no sweep that could run", why=why, fix=fix, code=ExitCode.USAGE)
    space.read(plan.space)
    share = search.percentile(plan.pruner)
    if plan.space or share is not None:
        search.must_be_there()


def _search_wrong(plan: Plan) -> tuple[str, str]:
    if plan.grid:
        name, found = next(iter(plan.grid.items()))
        return "a search draws its values itself", f"--search {name}=choice:{values.join(found)}"
    if plan.params.keys() & plan.space.keys():
        return "a parameter is either fixed or searched for", "leave out one of the two"
    if not plan.metric:
        return "a search needs to know what is good", "--metric auc --mode max"
    return "", ""


def _grid_wrong(plan: Plan) -> tuple[str, str]:
    if not plan.grid:
        return "no parameter has several values", "--param lr=1e-3,3e-4   (or: --search lr=log:1e-5..1e-1)"
    if not all(plan.grid.values()):
        return "a parameter has no value at all", "give it one value, or several"
    if plan.pruner != "none" and not plan.metric:
        return "a pruner compares intermediate values of a metric", "--metric auc --mode max"
    if math.prod(map(len, plan.grid.values())) > MOST_TRIALS:
        return f"a grid has at most {MOST_TRIALS} trials", "--search NAME=choice:…   (draws --trials of them)"
    return "", ""


def _combinations(plan: Plan) -> list[dict[str, str]]:
    """The trials that are known beforehand; the last parameter varies fastest."""
    if plan.space:
        return []
    return [dict(zip(plan.grid, found, strict=True)) for found in itertools.product(*plan.grid.values())]


def missing(sweep: Sweep, trials: list[Trial]) -> list[Trial]:
    """The trials of a sweep that have run, but came to no end of their own."""
    lost = (TrialState.FAILED, TrialState.CANCELLED)
    return [trial for trial in trials if trial.settled and trial.state in lost]


def resume(state: StateStore, sweep_id: int, by: str) -> Sweep:
    """Run what is missing of a sweep: trials that failed, were cancelled or never ran.

    Raises:
        BoxError: no such sweep (exit code 9), or nothing is missing (1).
    """
    sweep = state.sweeps.get(sweep_id)
    trials = state.sweeps.trials(sweep_id)
    again = missing(sweep, trials)
    unborn = sweep.plan.trials > len(trials) if sweep.plan.space else False
    unrun = [trial for trial in trials if not trial.settled]
    if not sweep.state.over and not again:
        raise BoxError(
            f"sweep {sweep_id} is under way",
            why="it goes on by itself, also after the box was stopped or killed",
            fix=f"box sweep show {sweep_id}   (is the box running? box up --detach)",
        )
    if not again and not unrun and not unborn:
        raise BoxError(
            f"nothing is missing of sweep {sweep_id}",
            why=f"all {len(trials)} trials have come to an end of their own",
            fix=f"box sweep show {sweep_id}",
        )
    state.sweeps.resume(sweep_id, again, by)
    return state.sweeps.get(sweep_id)


def cancel(state: StateStore, sweep_id: int, by: str) -> Sweep:
    """Ask for the end of a sweep and of every run of it.

    Raises:
        BoxError: no such sweep (exit code 9), or it is over already (1).
    """
    sweep = state.sweeps.get(sweep_id)
    if sweep.state.over:
        raise BoxError(
            f"sweep {sweep_id} is over already: {sweep.state}",
            why="only a running sweep can be cancelled",
            fix="box sweeps",
        )
    state.sweeps.request_cancel(sweep_id, by)
    for trial in state.sweeps.trials(sweep_id):
        if trial.run is not None and not trial.settled:
            state.runs.request_cancel(trial.run, by)
    return state.sweeps.get(sweep_id)


def wait(state: StateStore, paths: Paths, sweep_id: int, timeout: float | None, told: Callable[[Trial], None]) -> Sweep:
    """Block until a sweep is over.

    Args:
        timeout: seconds; None waits for ever.
        told: hears of each trial that has come to its end.

    Raises:
        BoxError: no such sweep (exit code 9); no supervisor runs (3); or the time is up (6), and the sweep goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    heard: set[tuple[int, int | None]] = set()
    while True:
        sweep = state.sweeps.get(sweep_id)
        for trial in state.sweeps.trials(sweep_id):
            if trial.settled and (trial.number, trial.run) not in heard:
                heard.add((trial.number, trial.run))
                told(trial)
        if sweep.state.over:
            return sweep
        if holder(paths) is None:
            raise BoxError(
                f"sweep {sweep_id} is under way, but the box is not running",
                why="only a running box starts runs",
                fix="box up --detach   (the sweep then goes on by itself)",
                code=ExitCode.NO_BOX,
            )
        if deadline is not None and time.monotonic() >= deadline:
            raise BoxError(
                f"sweep {sweep_id} is not over after {timeout:g} s",
                why="the time given to wait is up; the sweep goes on",
                fix=f"box sweep show {sweep_id}   (end it: box sweep cancel {sweep_id})",
                code=ExitCode.TIMED_OUT,
            )
        time.sleep(POLL)
