"""tui, cost."""

from __future__ import annotations

import click

from boxplat import profiled, render
from boxplat.cli.base import json_option, the_box


@click.command()
@click.option("--once", is_flag=True, help="Print one frame as text and end.")
@click.option("--ascii", "ascii_", is_flag=True, help="No characters beyond ASCII.")
@click.option("--readonly", is_flag=True, help="Look only: no action can be started.")
def tui(once: bool, ascii_: bool, readonly: bool) -> None:
    """The dashboard."""
    box = the_box()
    from boxplat_tui.app import run

    run(box, ascii=ascii_, readonly=readonly, once=once)


@click.command()
@click.option("--since", default="7d", show_default=True, help="30m, 1h, 7d, or an ISO time.")
@click.option("--by", type=click.Choice(["run", "flow"]), default="run", show_default=True)
@json_option
def cost(since: str, by: str, as_json: bool) -> None:
    """What runs cost, by the rates in boxplat.toml."""
    found = the_box().cost(since, by)
    click.echo(render.as_json(cost=found) if as_json else profiled.bill(found))


COMMANDS: tuple[click.Command, ...] = (tui, cost)
