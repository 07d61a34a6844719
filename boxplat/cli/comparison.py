"""compare, outcomes."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import click

from boxplat import render
from boxplat.cli import complete
from boxplat.cli.base import Commands, json_option, next_step, say, the_box

if TYPE_CHECKING:
    from boxplat.releases.comparison.compare import Comparison

_PAUSE = 5.0


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.argument("releases", nargs=-1, type=int)
@click.option("--since", metavar="TIME", help="30m, 1h, 2d, or an ISO time; default: since both had traffic.")
@click.option("--follow", is_flag=True, help="Go on, and tell whatever is new, until interrupted.")
@json_option
def compare(name: str, releases: tuple[int, ...], since: str | None, follow: bool, as_json: bool) -> None:
    """Two releases beside each other on live outcomes: look as often as you like."""
    if len(releases) not in (0, 2):
        raise click.UsageError("name two releases, or none for the last two that had traffic")
    box, pair = the_box(), (releases[0], releases[1]) if releases else None
    told = None
    while True:
        found = box.compare(name, pair, since)
        if found != told:
            click.echo(_shown(found, as_json, follow))
        if not follow:
            break
        told = found
        time.sleep(_PAUSE)
    if found.verdict == "better":
        next_step(f"box split {name} {found.newer}=100")


def _shown(found: Comparison, as_json: bool, follow: bool) -> str:
    from boxplat.releases.comparison import telling

    if as_json:
        return render.as_line(found) if follow else render.as_json(comparison=found, said=telling.words(found))
    return f"{telling.words(found)}\n\n{render.table(telling.HEADERS, telling.rows(found))}"


@click.group(cls=Commands)
def outcomes() -> None:
    """What became of predictions: add, show, list."""


@outcomes.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.argument("file")
@json_option
def add(name: str, file: str, as_json: bool) -> None:
    """Add labels: FILE is Parquet, CSV or JSON lines, or - for standard input."""
    added = the_box().outcomes.add(name, file)
    if as_json:
        click.echo(render.as_json(added=added))
    say(f"{added.rows} labels: {added.new} new, {added.corrected} corrected, {added.same} as before")
    if added.refused:
        say(f"{added.refused} rows have no label, or nothing to join them by, and were left out")
    if added.words:
        say(f"{added.words} labels are words: the loss `error` compares them with predictions, others need numbers")
    next_step(f"box compare {name}")


@outcomes.command()
@click.argument("name", shell_complete=complete.endpoints)
@json_option
def show(name: str, as_json: bool) -> None:
    """How many outcomes there are, and of which predictions."""
    found = the_box().outcomes.show(name)
    if as_json:
        click.echo(render.as_json(outcomes=found))
        return
    say(f"{found.labels} labels ({found.corrected} corrected later), {found.waiting} of no prediction in the log (yet)")
    rows = [dataclasses.astuple(one) for one in found.releases]
    click.echo(render.table(("RELEASE", "PREDICTIONS", "LABELLED"), rows))


@outcomes.command("list")
@click.argument("name", shell_complete=complete.endpoints)
@click.option("--since", metavar="TIME", help="30m, 1h, 2d, or an ISO time.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@json_option
def list_(name: str, since: str | None, limit: int, as_json: bool) -> None:
    """Predictions with what became of them."""
    rows = the_box().outcomes.list(name, since, limit)
    click.echo(render.as_json(outcomes=rows) if as_json else render.rows(rows) if rows else "none has an outcome")


COMMANDS: tuple[click.Command, ...] = (compare, outcomes)
