"""features apply, materialize, get, list, show, freshness, audit, skew, compact."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from boxplat import feature_table, render
from boxplat.cli import complete
from boxplat.cli.base import Commands, json_option, next_step, progress, say, the_box
from boxplat.core.errors import BoxError, ExitCode, not_found


@click.group(cls=Commands)
def features() -> None:
    """Feast features: apply, materialize, get; list, show, freshness, audit, skew, compact."""


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
    """Online features: SERVICE (or a view) and KEYS, a JSON list of entity keys (text, @file or - for stdin)."""
    wanted = read_json(keys)
    rows = the_box().features.get(service, wanted if isinstance(wanted, list) else [wanted])
    click.echo(render.as_json(rows=rows) if as_json else feature_table.online(rows))


@features.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The feature views: what is declared, and how fresh it is."""
    found = the_box().features.list()
    click.echo(render.as_json(**found) if as_json else feature_table.views(found["views"]))


@features.command()
@click.argument("view")
@click.argument("feature", nargs=-1)
@click.option("--sample", metavar="ROWS", type=click.IntRange(1), default=100_000, show_default=True)
@json_option
def show(view: str, feature: tuple[str, ...], sample: int, as_json: bool) -> None:
    """How the values of a VIEW's features are distributed in its source."""
    found = the_box().features.show(view, feature, sample)
    click.echo(render.as_json(**render.plain(found)) if as_json else feature_table.distributions(found))


@features.command()
@click.option("--now", metavar="TIME", help="Measure ages at this ISO time instead of the online store's clock.")
@json_option
def freshness(now: str | None, as_json: bool) -> None:
    """How old the features online are; exit code 7 if stale."""
    views = the_box().features.freshness(now)
    click.echo(render.as_json(views=views) if as_json else render.freshness(views))
    stale = [view["view"] for view in views if view["stale"]]
    if stale:
        say(f"stale: {', '.join(stale)}")
        next_step("box features materialize")
        raise SystemExit(int(ExitCode.DEGRADED))


@features.command()
@click.argument("table", required=False, default="")
@click.option("--build", metavar="CODE", default="", help="module:function, or a command, that builds the rows.")
@click.option("--service", metavar="NAME", default="", help="Or: built by Feast over this feature service.")
@click.option("--entities", metavar="FILE", default="", help="With --service: the entity rows (Parquet or CSV).")
@click.option("--time", "moment", metavar="COLUMN", default="", help="The decision time.")
@click.option("--label", metavar="COLUMN", default="", help="The outcome.")
@click.option("--row", metavar="COLUMN", multiple=True, help="A column that names a row; may be given several times.")
@click.option("--moments", metavar="N", type=click.IntRange(1), help="Decision times to sample.")
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--tolerance", metavar="X", type=click.FloatRange(0), help="How much numbers may differ; default: not.")
@click.option("--created", is_flag=True, help="The set was joined with filter_by_created_timestamp.")
@json_option
def audit(**given: Any) -> None:
    """Is a training set honest? Exit code 5 if not. TABLE: Parquet; default: [audit] table."""
    from boxplat.features.audit import Choice

    as_json = given.pop("as_json")
    report = the_box().features.audit(Choice(time=given.pop("moment"), **given), progress)
    click.echo(render.as_json(**report.as_dict()) if as_json else str(report))
    if not report.passed:
        refusal = report.refusal()
        # Standard output has its one object already.
        say(str(refusal))
        raise SystemExit(int(refusal.code))


@features.command()
@click.argument("endpoint", shell_complete=complete.endpoints)
@click.option("--since", metavar="TIME", help="30m, 1h, 2d, or an ISO time: older predictions are left out.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=1_000_000, show_default=True, help="The newest N."
)
@json_option
def skew(endpoint: str, since: str | None, limit: int, as_json: bool) -> None:
    """Served features, recomputed. Exit code 10 if they differ."""
    report = the_box().features.skew(endpoint, since, limit, progress)
    click.echo(render.as_json(**report.as_dict()) if as_json else str(report))
    if not report.passed:
        refusal = report.refusal()
        say(str(refusal))
        raise SystemExit(int(refusal.code))


@features.command()
@click.argument("view", required=False)
@click.option("--order", metavar="ORDER", default="time", show_default=True, help="Of the rows: time, or key.")
@json_option
def compact(view: str | None, order: str, as_json: bool) -> None:
    """Merge the part files appended to a view's source."""
    merged = the_box().features.compact(view, order, progress)
    rows = [(name, one.before, one.after, one.rows) for name, one in merged.items()]
    if not rows:
        say("there are no part files to merge")
    click.echo(render.as_json(views=merged) if as_json else render.table(("VIEW", "FILES", "NOW", "ROWS"), rows))


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
