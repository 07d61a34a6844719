"""features apply, materialize, get."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from boxplat import render
from boxplat.cli.base import Commands, json_option, next_step, progress, say, the_box
from boxplat.core.errors import BoxError, ExitCode, not_found


@click.group(cls=Commands)
def features() -> None:
    """Feast features: apply, materialize, get."""


@features.command("apply")
def apply_() -> None:
    """Register what the Feast repository declares."""
    views = the_box().features.apply(progress)
    say(f"{len(views)} feature views: {', '.join(views)}")
    next_step("box features materialize")


@features.command()
@click.option("--start", metavar="TIME", help="ISO time; default: since the last materialization.")
@click.option("--end", metavar="TIME", help="ISO time; default: now.")
@json_option
def materialize(start: str | None, end: str | None, as_json: bool) -> None:
    """Copy the newest feature rows to the online store."""
    rows = the_box().features.materialize(start, end, progress)
    click.echo(render.as_json(rows=rows) if as_json else render.table(("VIEW", "ROWS"), rows.items()))


@features.command()
@click.argument("service")
@click.argument("keys")
@json_option
def get(service: str, keys: str, as_json: bool) -> None:
    """Online features: SERVICE and KEYS, a JSON list of entity keys (text, @file or - for standard input)."""
    wanted = read_json(keys)
    rows = the_box().features.get(service, wanted if isinstance(wanted, list) else [wanted])
    click.echo(render.as_json(rows=rows) if as_json else "\n".join(json.dumps(row, default=str) for row in rows))


def read_json(text: str) -> Any:
    """JSON given as text, as `@file` or as `-` for standard input."""
    if text.startswith("@") and not Path(text[1:]).exists():
        there = [path.name for path in Path(text[1:]).parent.glob("*.json")]
        raise not_found("file", text[1:], there, f"ls {Path(text[1:]).parent}")
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BoxError(
            "the input is not readable JSON",
            why=str(error),
            fix="check it: python -m json.tool < FILE",
            code=ExitCode.USAGE,
        ) from error


COMMANDS: tuple[click.Command, ...] = (features,)
