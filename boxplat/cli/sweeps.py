"""sweeps, sweep show, resume, cancel, wait; and the options of `run` that make it a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from boxplat import render, trials
from boxplat.cli.base import Commands, json_option, next_step, progress, say, the_box
from boxplat.core.errors import BoxError
from boxplat.core.sweeps import Sweep, SweepState

_OPTIONS = (
    click.option("--search", multiple=True, metavar="NAME=RANGE", help="Draw it: log:1e-5..1e-1, int:32..256, …"),
    click.option("--metric", default="", help="What the trials of a sweep are judged by."),
    click.option("--mode", type=click.Choice(["max", "min"]), default="max", help="Which value is best.  [max]"),
    click.option("--trials", type=click.IntRange(1), default=20, help="Of a search, in all.  [20]"),
    click.option("--parallel", type=click.IntRange(0), default=0, help="Trials at once.  [all of a grid, else 2]"),
    click.option("--sampler", type=click.Choice(["tpe", "random"]), default="tpe", help="What draws.  [tpe]"),
    click.option("--pruner", default="none", help="Gives trials up early: median, percentile:25.  [none]"),
    click.option("--seed", type=int, default=0, help="Of the sampler.  [0]"),
)


def sweep_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `box run` that only a sweep has; they come as keywords."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def begin(
    box: Any,
    flow: str,
    params: Mapping[str, Sequence[str]],
    options: Mapping[str, Any],
    chosen: Mapping[str, Any],
    wait: bool,
    as_json: bool,
) -> None:
    """Start a sweep, say what becomes of it, and with `wait` end as it ends."""
    made = box.sweep.start(flow, params, options=options, **chosen)
    how = f"up to {made.plan.trials} trials" if made.plan.space else f"{len(box.sweep.show(made.id))} trials"
    say(f"sweep {made.id} of {made.flow}: {how}{_aim(made)}")
    if wait:
        _result(box, _watch(box, made.id), as_json)
    elif as_json:
        click.echo(trials.as_json(made, box.sweep.show(made.id)))
    else:
        click.echo(made.id)
        next_step(f"box sweep {made.id}   (or: box sweep wait {made.id})")


def _aim(sweep: Sweep) -> str:
    which = "highest" if sweep.plan.mode == "max" else "lowest"
    return f"; the best has the {which} {sweep.plan.metric}" if sweep.plan.metric else ""


def _watch(box: Any, number: int, timeout: float | None = None) -> Sweep:
    try:
        ended: Sweep = box.sweep.wait(number, timeout, lambda trial: progress(trials.line(trial)))
    except KeyboardInterrupt:
        say(f"sweep {number} goes on   (end it: box sweep cancel {number})")
        raise
    return ended


def _result(box: Any, sweep: Sweep, as_json: bool) -> None:
    """Show a sweep that is over; its failure becomes this command's."""
    rows = box.sweep.show(sweep.id)
    click.echo(trials.as_json(sweep, rows) if as_json else trials.text(sweep, rows))
    if sweep.state is SweepState.SUCCEEDED:
        return
    if as_json:
        # The one object on standard output says it all.
        raise click.exceptions.Exit(1)
    raise BoxError(
        f"sweep {sweep.id} of {sweep.flow} {sweep.state}",
        why=sweep.error or "it was cancelled",
        fix=f"box sweep resume {sweep.id}   (runs only what is missing)",
    )


@click.command()
@click.option("--limit", default=20, show_default=True)
@json_option
def sweeps(limit: int, as_json: bool) -> None:
    """The newest sweeps."""
    box = the_box()
    rows = box.sweeps(limit)
    if as_json:
        click.echo(render.as_json(sweeps=rows))
    else:
        nothing = "nothing was swept yet: box run FLOW --param lr=1e-3,3e-4 --metric auc"
        click.echo(trials.sweeps([(row, box.sweep.show(row.id)) for row in rows]) if rows else nothing)


class _Numbered(Commands):
    """`box sweep 3` is `box sweep show 3`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        return super().resolve_command(ctx, ["show", *args] if args and args[0].isdecimal() else args)


@click.group(cls=_Numbered)
def sweep() -> None:
    """One sweep: show (or just its number), resume, cancel, wait."""


@sweep.command()
@click.argument("number", type=int)
@json_option
def show(number: int, as_json: bool) -> None:
    """The trials of a sweep, the best first."""
    box = the_box()
    one, rows = box.state.sweeps.get(number), box.sweep.show(number)
    click.echo(trials.as_json(one, rows) if as_json else trials.text(one, rows))


@sweep.command()
@click.argument("number", type=int)
@click.option("--wait", is_flag=True, help="Until it is over, and end with its result.")
@json_option
def resume(number: int, wait: bool, as_json: bool) -> None:
    """Run what is missing: trials that failed, were cancelled or never ran."""
    box = the_box()
    one = box.sweep.resume(number)
    say(f"sweep {number} goes on")
    if wait:
        _result(box, _watch(box, number), as_json)
    elif as_json:
        click.echo(trials.as_json(one, box.sweep.show(number)))


@sweep.command()
@click.argument("number", type=int)
def cancel(number: int) -> None:
    """End a sweep and all its runs."""
    the_box().sweep.cancel(number)
    say(f"sweep {number} is being cancelled")


@sweep.command("wait")
@click.argument("number", type=int)
@click.option("--timeout", type=float, help="Seconds.")
@json_option
def wait_(number: int, timeout: float | None, as_json: bool) -> None:
    """Until a sweep is over; ends with its result."""
    box = the_box()
    _result(box, _watch(box, number, timeout), as_json)


COMMANDS: tuple[click.Command, ...] = (sweeps, sweep)
