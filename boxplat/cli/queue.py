"""queue, and its hold, release, move, cancel."""

from __future__ import annotations

import click

from boxplat import queue_table, render
from boxplat.cli import complete
from boxplat.cli.base import Commands, json_option, say, the_box
from boxplat.core.errors import BoxError, ExitCode


@click.group(cls=Commands, invoke_without_command=True)
@json_option
@click.pass_context
def queue(ctx: click.Context, as_json: bool) -> None:
    """What runs, what waits, why, and for how long."""
    if ctx.invoked_subcommand is None:
        shown = the_box().queue.list()
        click.echo(render.as_json(queue=shown) if as_json else queue_table.text(shown))


@queue.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The same as `box queue`."""
    shown = the_box().queue.list()
    click.echo(render.as_json(queue=shown) if as_json else queue_table.text(shown))


@queue.command()
@json_option
def machine(as_json: bool) -> None:
    """Who has what of the cores, the memory and each device."""
    found = the_box().queue.machine()
    click.echo(render.as_json(machine=found) if as_json else queue_table.machine(found))


@queue.command()
@click.argument("number", type=int, shell_complete=complete.runs)
def hold(number: int) -> None:
    """Let a run start no further step until it is released."""
    say(f"run {number} is held" if the_box().queue.hold(number) else f"run {number} is held already")


@queue.command()
@click.argument("number", type=int, shell_complete=complete.runs)
def release(number: int) -> None:
    """Let a run that is held go on."""
    say(f"run {number} goes on" if the_box().queue.release(number) else f"run {number} is not held")


@queue.command()
@click.argument("number", type=int, shell_complete=complete.runs)
@click.option("--first", is_flag=True, help="Before all others of its priority.")
@click.option("--last", is_flag=True, help="After all others of its priority.")
@click.option("--before", type=int, metavar="RUN", help="Before this one.")
@click.option("--up", "step", flag_value=-1, type=int, default=0, help="Before the next queued run ahead.")
@click.option("--down", "step", flag_value=1, type=int, help="After the next queued run behind.")
def move(number: int, first: bool, last: bool, before: int | None, step: int) -> None:
    """Give a run another place in line."""
    if first + last + (before is not None) + bool(step) != 1:
        raise BoxError(
            "one of --first, --last, --before, --up and --down is needed",
            why="they say where in line the run goes",
            fix=f"box queue move {number} --first",
            code=ExitCode.USAGE,
        )
    place = the_box().queue.move(number, before, last, step)
    where = f"number {place} of its priority" if step else "last" if last else "first"
    say(f"run {number} is " + (where if before is None else f"before run {before}"))


@queue.command()
@click.argument("number", type=int, shell_complete=complete.runs)
def cancel(number: int) -> None:
    """End a run: the same as `box cancel`."""
    done = the_box().queue.cancel(number)
    say(f"run {done.id} {done.state if done.state.over else 'is being cancelled'}")


COMMANDS: tuple[click.Command, ...] = (queue,)
