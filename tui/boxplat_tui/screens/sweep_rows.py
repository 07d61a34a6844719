"""Sweeps and their trials as rows, and their values as curves. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from boxplat.core.model import RunState
from boxplat.core.sweeps import Sweep, SweepState, Trial, TrialState, best, ranked
from boxplat_tui.format import NONE, age, duration, figure, pairs, plural
from boxplat_tui.glyphs import Cell, run_state
from boxplat_tui.lines import clean
from boxplat_tui.widgets.bars import assemble
from boxplat_tui.widgets.plots import chart
from boxplat_tui.widgets.table import Column, Row

Tones = Mapping[str, str]

SWEEPS = (
    Column("SWEEP", 5),
    Column("FLOW", 18),
    Column("STATE", 11),
    Column("TRIALS", 8, right=True),
    Column("BEST", 20),
    Column("VARIED", from_width=90),
    Column("STARTED", 9, right=True, from_width=76),
)
TRIALS = (
    Column("", 1),
    Column("TRIAL", 5, right=True),
    Column("RUN", 5, right=True),
    Column("STATE", 11),
    Column("VALUE", 9, right=True),
    Column("PARAMETERS"),
    Column("TOOK", 7, right=True, from_width=70),
    Column("NOTE", 24, from_width=130),
)


def sweep_state(state: SweepState) -> Cell:
    return run_state(RunState(state.value))


def trial_state(state: TrialState) -> Cell:
    """`◇ pruned`, `◌ waiting`, else as a run's."""
    if state is TrialState.PRUNED:
        return Cell("◇ pruned", "muted")
    return Cell("◌ waiting", "muted") if state is TrialState.WAITING else run_state(RunState(state.value))


def sweeps(found: Sequence[tuple[Sweep, Sequence[Trial]]], now: float) -> list[Row]:
    """A row a sweep."""
    return [_sweep(sweep, list(trials), now) for sweep, trials in found]


def _sweep(sweep: Sweep, trials: list[Trial], now: float) -> Row:
    winner = best(sweep.plan, trials)
    done, total = _progress(sweep, trials)
    value = f"{sweep.plan.metric} {figure(winner.value)}" if winner else NONE
    varied = " ".join(sweep.plan.varied)
    return Row(
        str(sweep.id),
        (
            Cell(str(sweep.id), "muted"),
            Cell(sweep.name, "strong"),
            sweep_state(sweep.state),
            Cell(f"{done} of {total}"),
            Cell(value, "accent" if winner else "muted"),
            Cell(varied, "muted"),
            Cell(age(sweep.created, now), "muted"),
        ),
        (sweep.id, sweep.name, sweep.state, done, winner.value if winner else None, varied, -sweep.created),
    )


def _progress(sweep: Sweep, trials: Sequence[Trial]) -> tuple[int, int]:
    done = sum(trial.settled and trial.state is not TrialState.CANCELLED for trial in trials)
    return done, sweep.plan.trials if sweep.plan.space else len(trials)


def head(sweep: Sweep, found: Sequence[Trial], tones: Tones) -> Text:
    """What is varied, how far it is, and the best."""
    shade, plan = dict(tones), sweep.plan
    done, total = _progress(sweep, found)
    varied = plan.space or {name: ",".join(values) for name, values in plan.grid.items()}
    winner = best(plan, list(found))
    aim = f"{'highest' if plan.mode == 'max' else 'lowest'} {plan.metric}" if plan.metric else "nothing is judged"
    lines = [
        assemble(
            shade,
            Cell(sweep.name, "strong"),
            "  ",
            sweep_state(sweep.state),
            Cell(f"  {done} of {plural(total, 'trial')}  {plan.kind}: {pairs(varied)}  {pairs(plan.params)}", "muted"),
        )
    ]
    if winner:
        params = pairs({name: winner.params[name] for name in plan.varied if name in winner.params})
        told = f"★ trial {winner.number}, run {winner.run}: {plan.metric} {figure(winner.value)}"
        lines.append(assemble(shade, Cell(told, "accent"), Cell(f"  {params}", "strong"), Cell(f"  ({aim})", "muted")))
    else:
        lines.append(assemble(shade, Cell(f"no best trial yet ({aim})", "muted")))
    if sweep.error:
        lines.append(assemble(shade, Cell(clean(sweep.error), "bad")))
    return Text("\n").join(lines)


def trials(sweep: Sweep, found: Sequence[Trial], now: float) -> list[Row]:
    """A row a trial, the best first."""
    winner = best(sweep.plan, list(found))
    return [_trial(sweep, trial, winner, now) for trial in ranked(sweep.plan, list(found))]


def _trial(sweep: Sweep, trial: Trial, winner: Trial | None, now: float) -> Row:
    won = winner is not None and trial.number == winner.number
    params = pairs({name: trial.params[name] for name in sweep.plan.varied if name in trial.params})
    took = (trial.ended or now) - trial.started if trial.started else None
    return Row(
        str(trial.number),
        (
            Cell("★" if won else "", "accent"),
            Cell(str(trial.number), "muted"),
            Cell(str(trial.run or NONE), "muted"),
            trial_state(trial.state),
            Cell(figure(trial.value), "accent" if won else "strong"),
            Cell(params),
            Cell(duration(took), "muted"),
            Cell(trial.note, "warn"),
        ),
        (not won, trial.number, trial.run, trial.state, trial.value, params, took, trial.note),
    )


def values(sweep: Sweep, found: Sequence[Trial], chosen: str | None, tones: Tones, width: int, height: int) -> Text:
    """The values by trial, and of the trial under the cursor what it reported on the way; each `height` cells high."""
    metric = sweep.plan.metric or "value"
    judged = [(float(trial.number), trial.value) for trial in found if trial.value is not None]
    parts = [chart(Cell(f"{metric} by trial", "strong"), judged, tones, width, height)] if judged else []
    trial = next((trial for trial in found if str(trial.number) == chosen), None)
    if trial and trial.reported:
        told = [(float(step), trial.reported[step]) for step in sorted(trial.reported)]
        parts += [Text(""), chart(Cell(f"trial {trial.number} on the way", "strong"), told, tones, width, height)]
    if trial and trial.note:
        parts += [Text(""), assemble(dict(tones), Cell(clean(trial.note), "warn"))]
    return Text("\n").join(parts)
