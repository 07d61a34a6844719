"""events, events publish."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from boxplat import render
from boxplat.cli.base import Commands, json_option, say, the_box
from boxplat.core.errors import BoxError, ExitCode, nearest


@click.group(cls=Commands, invoke_without_command=True)
@click.option("--follow", "-f", is_flag=True, help="Go on as events come (JSON lines with --json).")
@click.option("--after", default=0, help="Only events with a higher number.")
@click.option("--before", type=int, help="Only events with a lower number.")
@click.option("--subject", help="Only of this service, endpoint or run (run/7).")
@click.option("--kind", help="Only of this kind (run.failed), or of all that begin so (run).")
@click.option("--match", default="", help="Only those that this regular expression is in (! in front: is not in).")
@click.option("--limit", default=50, show_default=True)
@json_option
@click.pass_context
def events(
    context: click.Context,
    follow: bool,
    after: int,
    before: int | None,
    subject: str | None,
    kind: str | None,
    match: str,
    limit: int,
    as_json: bool,
) -> None:
    """The audit log; or publish an event."""
    if context.invoked_subcommand is not None:
        return
    box = the_box()
    rows = box.events(after, subject, limit, before, kind, match)
    if not follow:
        click.echo(render.as_json(events=rows) if as_json else render.events(rows))
        return
    while True:
        for row in rows:
            click.echo(render.as_line(row) if as_json else render.event_line(row))
            after = row.id
        time.sleep(0.3)
        rows = box.events(after, subject, 1000, None, kind, match)


@events.command()
@click.argument("name")
@click.option("--payload", "-p", multiple=True, metavar="KEY=VALUE|JSON", help="What it says (repeatable).")
@json_option
def publish(name: str, payload: tuple[str, ...], as_json: bool) -> None:
    """Publish an event for flows with @trigger(event=NAME)."""
    box = the_box()
    waiting = box.publish(name, _payload(payload))
    if as_json:
        click.echo(render.as_json(name=name, waiting=waiting))
    if waiting:
        say(f"{name} is published: {', '.join(waiting)}")
    else:
        known = {event for row in box.schedule.list() for event in row.events}
        say(f"{name} is published; no flow waits for it{nearest(name, known)}")


def _payload(words: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        try:
            whole = json.loads(word) if word.lstrip().startswith("{") else {key: value} if sign and key else None
        except ValueError:
            whole = None
        if not isinstance(whole, dict):
            raise BoxError(
                f"--payload {word!r} is neither key=value nor a JSON object",
                why="each entry of a payload has a name, which @trigger maps to a parameter",
                fix='box events publish NAME --payload day=2013-12-30   (or: --payload \'{"day": "2013-12-30"}\')',
                code=ExitCode.USAGE,
            )
        found |= whole
    return found


COMMANDS: tuple[click.Command, ...] = (events,)
