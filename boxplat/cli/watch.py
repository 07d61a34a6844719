"""tui, cost."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import click

from boxplat import profiled, render
from boxplat.cli.base import json_option, next_step, say, the_box
from boxplat.core.errors import BoxError, ExitCode


@click.command()
@click.option("--once", is_flag=True, help="Print one frame as text and end.")
@click.option("--ascii", "ascii_", is_flag=True, help="No characters beyond ASCII.")
@click.option("--readonly", is_flag=True, help="Look only: no action can be started.")
@click.option("--web", is_flag=True, help="Serve it to a browser on this machine until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="a free one", help="Of --web.")
def tui(once: bool, ascii_: bool, readonly: bool, web: bool, port: int) -> None:
    """The dashboard."""
    if web and once:
        raise click.UsageError("--once prints a frame, --web serves a page: choose one")
    if web:
        _serve(the_box(), ascii_, readonly, port)
        return
    # A fifth of the start was spent in looking for garbage where there is none; the dashboard turns it on again.
    gc.disable()
    box, made = (the_box(), None) if once or readonly else _box_or_new(ascii_)
    from boxplat_tui.app import run

    run(box, ascii=ascii_, readonly=readonly, once=once)
    if made:
        next_step(f"cd {made}")


def _serve(box: Any, ascii_: bool, readonly: bool, port: int) -> None:
    from boxplat_tui.web import serve

    options = (*(["--ascii"] if ascii_ else []), *(["--readonly"] if readonly else []))
    say("the dashboard for a browser on this machine, until Ctrl-C; whoever has this address can do what you can:")
    serve(box.root, f"{box.settings.project.name} · boxplat", port, options, click.echo)


def _box_or_new(ascii_: bool) -> tuple[Any, str | None]:
    """The box; where there is none and a person sits there, the one that they make now, and its folder."""
    from boxplat_tui import terminal

    try:
        return the_box(), None
    except BoxError as error:
        root = click.get_current_context().find_root()
        if error.code is not ExitCode.NO_BOX or root.params.get("project") or not terminal.usable():
            raise
        from boxplat_tui.welcome import welcome

        made = welcome(Path.cwd(), ascii_ or terminal.ascii_only())
        if made is None:
            raise
        say(f"the project is in {os.path.relpath(made)}; its dashboard starts …")
        root.params["project"] = str(made)
        return the_box(), os.path.relpath(made)


@click.command()
@click.option("--since", default="7d", show_default=True, help="30m, 1h, 7d, or an ISO time.")
@click.option("--by", type=click.Choice(["run", "flow"]), default="run", show_default=True)
@json_option
def cost(since: str, by: str, as_json: bool) -> None:
    """What runs cost, by the rates in boxplat.toml."""
    found = the_box().cost(since, by)
    click.echo(render.as_json(cost=found) if as_json else profiled.bill(found))


COMMANDS: tuple[click.Command, ...] = (tui, cost)
