"""Sweeps and their trials as text and as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from boxplat import render
from boxplat.core.sweeps import Sweep, Trial, TrialState, best, ranked

_FIGURE = ".6g"


def as_json(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """A sweep, the number of its best trial, and its trials with the best first."""
    winner = best(sweep.plan, list(trials))
    return render.as_json(
        sweep=sweep, best=None if winner is None else winner.number, trials=ranked(sweep.plan, list(trials))
    )


def text(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """What a sweep is for and every trial of it, the best first and marked."""
    plan = sweep.plan
    winner = best(plan, list(trials))
    varied = plan.space or {name: ", ".join(values) for name, values in plan.grid.items()}
    facts = {
        "sweep": f"{sweep.id}  {sweep.flow}",
        "state": f"{sweep.state}{' (being cancelled)' if sweep.cancel_requested and not sweep.state.over else ''}",
        "varied": "  ".join(f"{name} {values}" for name, values in varied.items()),
        "fixed": " ".join(f"{name}={value}" for name, value in plan.params.items()),
        "best": _best(sweep, winner),
        "mlflow run": sweep.tracking_run_id,
    }
    head = "\n".join(f"{name:<11} {value}" for name, value in facts.items() if value)
    value = [plan.metric.upper()] if plan.metric else []
    rows = [_row(sweep, trial, winner) for trial in ranked(plan, list(trials))]
    table = render.table(("", "TRIAL", "RUN", "STATE", *map(str.upper, plan.varied), *value, "TOOK", "NOTE"), rows)
    return f"{head}\n\n{table}" + (f"\n\n{sweep.error}" if sweep.error else "")


def _best(sweep: Sweep, winner: Trial | None) -> str:
    if winner is None or winner.value is None:
        return ""
    params = " ".join(f"{name}={winner.params[name]}" for name in sweep.plan.varied)
    figure = f"{sweep.plan.metric} {format(winner.value, _FIGURE)} ({sweep.plan.mode})"
    return f"trial {winner.number}, run {winner.run}: {figure} with {params}"


def _row(sweep: Sweep, trial: Trial, winner: Trial | None) -> list[object]:
    took = (trial.ended or time.time()) - trial.started if trial.started else None
    mark = "*" if winner is not None and trial.number == winner.number else " "
    cells: list[object] = [mark, trial.number, trial.run, trial.state]
    cells += [trial.params[name] for name in sweep.plan.varied]
    if sweep.plan.metric:
        cells.append(None if trial.value is None else format(trial.value, _FIGURE))
    return [*cells, render.duration(took), trial.note[:60]]


def line(trial: Trial) -> str:
    """A trial that has come to its end, on one line."""
    params = " ".join(f"{name}={value}" for name, value in trial.params.items())
    value = "" if trial.value is None else f": {format(trial.value, _FIGURE)}"
    note = f" ({trial.note})" if trial.note else ""
    return f"trial {trial.number} (run {trial.run}) {params} {trial.state}{value}{note}"


def sweeps(rows: Iterable[tuple[Sweep, Sequence[Trial]]]) -> str:
    """The newest sweeps, each with how far it is and its best value."""
    return render.table(
        ("SWEEP", "FLOW", "STATE", "TRIALS", "BEST", "VALUE", "CREATED", "ERROR"),
        [_summary(sweep, list(trials)) for sweep, trials in rows],
    )


def _summary(sweep: Sweep, trials: list[Trial]) -> tuple[object, ...]:
    winner = best(sweep.plan, trials)
    done = sum(trial.settled and trial.state is not TrialState.CANCELLED for trial in trials)
    total = sweep.plan.trials if sweep.plan.space else len(trials)
    value = None if winner is None or winner.value is None else f"{sweep.plan.metric} {format(winner.value, _FIGURE)}"
    number = None if winner is None else f"trial {winner.number}"
    created = render.ago(sweep.created)
    return (sweep.id, sweep.flow, sweep.state, f"{done}/{total}", number, value, created, sweep.error.partition(";")[0])
