"""schedule list, pause, resume, run-now."""

from __future__ import annotations

import click

from boxplat import render, schedule_table
from boxplat.cli import complete
from boxplat.cli.base import Commands, json_option, next_step, say, the_box


@click.group(cls=Commands, invoke_without_command=True)
@json_option
@click.pass_context
def schedule(context: click.Context, as_json: bool) -> None:
    """Flows that start by themselves: @schedule, @trigger, @trigger_on_finish."""
    if context.invoked_subcommand is None:
        _list(as_json)


@schedule.command("list")
@json_option
def list_(as_json: bool) -> None:
    """What starts each, when next, and what is wrong with those that cannot."""
    _list(as_json)


def _list(as_json: bool) -> None:
    box = the_box()
    rows, problems = box.schedule.list(), box.schedule.problems()
    if as_json:
        click.echo(render.as_json(schedules=rows, problems=[problem.as_dict() for problem in problems]))
        return
    nothing = "no flow has @schedule, @trigger or @trigger_on_finish (see docs/schedules.md)"
    click.echo(schedule_table.text(rows) if rows else nothing)
    for problem in problems:
        say(str(problem))


@schedule.command()
@click.argument("flow", shell_complete=complete.flows)
def pause(flow: str) -> None:
    """Keep a flow from starting by itself."""
    say(f"{the_box().schedule.pause(flow)} is paused")
    next_step(f"box schedule resume {flow}")


@schedule.command()
@click.argument("flow", shell_complete=complete.flows)
def resume(flow: str) -> None:
    """Let a flow start by itself again, from now on."""
    say(f"{the_box().schedule.resume(flow)} starts by itself again; what was due meanwhile is not made up for")


@schedule.command("run-now")
@click.argument("flow", shell_complete=complete.flows)
@json_option
def run_now(flow: str, as_json: bool) -> None:
    """Queue a run of it now, besides its times."""
    made = the_box().schedule.run_now(flow)
    say(f"run {made.id} of {made.flow} is queued")
    click.echo(render.as_json(run=made) if as_json else made.id)
    next_step(f"box logs {made.id} --follow   (or: box tui)")


COMMANDS: tuple[click.Command, ...] = (schedule,)
