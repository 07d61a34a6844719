"""keys make, list, revoke."""

from __future__ import annotations

import click

from boxplat import render
from boxplat.cli.base import Commands, json_option, next_step, say, the_box


@click.group(cls=Commands)
def keys() -> None:
    """Keys of the gateway: without any, everybody on this machine may ask."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("invoke",),
    show_default=True,
    help="invoke: ask endpoints; operate: also their operations and the statistics. May be given twice.",
)
@json_option
def make(name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a key and show it, this one time."""
    made = the_box().keys.make(name, scopes)
    click.echo(render.as_json(key=made.key, token=made.token) if as_json else made.token)
    say(f"key {name} ({', '.join(made.key.scopes)}): keep it now, only its hash is stored")
    if not made.taken:
        say("the gateway has not taken it yet and answers as before: box logs gateway")
    next_step('curl -H "Authorization: Bearer $KEY" …')


@keys.command("list")
@click.option("--revoked", is_flag=True, help="Also those that are no longer in use.")
@json_option
def list_(revoked: bool, as_json: bool) -> None:
    """The keys, without the keys."""
    rows = the_box().keys.list(revoked)
    if as_json:
        click.echo(render.as_json(keys=rows))
    else:
        click.echo(render.access_keys(rows) if rows else "no keys: everybody on this machine may ask the endpoints")


@keys.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End a key at once."""
    the_box().keys.revoke(name)
    say(f"key {name} is revoked")


COMMANDS: tuple[click.Command, ...] = (keys,)
