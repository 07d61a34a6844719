"""endpoints, endpoints history, endpoints live, why."""

from __future__ import annotations

import time

import click

from boxplat import render
from boxplat.cli import complete
from boxplat.cli.base import Commands, json_option, the_box


@click.group(cls=Commands, invoke_without_command=True)
@json_option
@click.pass_context
def endpoints(context: click.Context, as_json: bool) -> None:
    """Endpoints, their releases and traffic; and their history."""
    if context.invoked_subcommand is not None:
        return
    rows = the_box().endpoints()
    nothing = "no endpoint is configured: add [endpoints.NAME] to boxplat.toml"
    click.echo(render.as_json(endpoints=rows) if as_json else render.endpoints(rows) if rows else nothing)


@endpoints.command()
@click.argument("name", shell_complete=complete.endpoints)
@json_option
def history(name: str, as_json: bool) -> None:
    """What was live when on an endpoint, why, by whom, with which evidence."""
    from boxplat import trees

    found = the_box().endpoints.history(name)
    click.echo(render.as_json(history=found) if as_json else trees.history(found))


@endpoints.command()
@click.argument("name", required=False, shell_complete=complete.endpoints)
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(0.1, 30), help="How long it looks.")
@json_option
def live(name: str | None, seconds: float, as_json: bool) -> None:
    """What each release does now: requests, their times, errors, batches, queue."""
    from boxplat.core.errors import not_found

    box = the_box()
    known = [row.name for row in box.endpoints()]
    if name is not None and name not in known:
        raise not_found("endpoint", name, known, "box endpoints")
    box.endpoints.live()
    time.sleep(seconds)
    rows = [row for row in box.endpoints.live() if name in (None, row.endpoint)]
    nothing = "no release gets requests now: box endpoints"
    click.echo(render.as_json(live=rows) if as_json else render.live(rows) if rows else nothing)


@click.command()
@click.argument("subject")
@json_option
def why(subject: str, as_json: bool) -> None:
    """What something was made of, and what it went into.

    \b
    SUBJECT is
      delay@7                    a release
      models:/delay/3            a model version (also models:/delay@champion)
      12                         a run (also the id of a tracking run)
      7c9e2b5f0a1d3e48           a prediction (its ids: box predictions NAME)
    """
    from boxplat import trees

    found = the_box().why(subject)
    click.echo(render.as_json(why=found) if as_json else trees.answer(found))


COMMANDS: tuple[click.Command, ...] = (endpoints, why)
