"""models list, show."""

from __future__ import annotations

import click

from boxplat import render
from boxplat.cli.base import Commands, json_option, the_box


@click.group(cls=Commands)
def models() -> None:
    """Registered models: list, show."""


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every version of every registered model."""
    rows = the_box().models.list()
    nothing = "no model is registered yet: box run flows/train.py --wait"
    click.echo(render.as_json(models=rows) if as_json else render.models(rows) if rows else nothing)


@models.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """The versions of one model."""
    rows = the_box().models.show(name)
    click.echo(render.as_json(models=rows) if as_json else render.models(rows))


COMMANDS: tuple[click.Command, ...] = (models,)
