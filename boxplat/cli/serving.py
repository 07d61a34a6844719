"""deploy, undeploy, split, rollback, predict, predictions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from boxplat import render
from boxplat.cli import complete
from boxplat.cli.base import json_option, next_step, progress, say, the_box
from boxplat.cli.data import read_json

if TYPE_CHECKING:
    from boxplat.releases.traffic import Return


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.option("--timeout", default=180.0, show_default=True, help="Seconds until it must be healthy.")
@click.option("--version", default="", help="Of the model: a number or an alias.  [default: the endpoint's alias]")
@click.option("--percent", default=100, show_default=True, help="Of the requests; the others share the rest as before.")
@json_option
def deploy(name: str, timeout: float, version: str, percent: int, as_json: bool) -> None:
    """Make an endpoint's next release and bring it live."""
    release = the_box().deploy(name, timeout, progress, version, percent)
    say(
        f"{name} serves release {release.number} ({release.bento})" if percent else f"release {release.number} is ready"
    )
    if as_json:
        click.echo(render.as_json(release=release))
    next_step(f"box predict {name} '…'   (its URL: box endpoints)")


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
def undeploy(name: str) -> None:
    """Stop an endpoint; its releases stay on record."""
    the_box().undeploy(name)
    say(f"{name} serves nothing now")


def _parts(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[int, int]:
    """`7=90 8=10`: releases and their percents of the requests."""
    found: dict[int, int] = {}
    for part in given:
        number, __, percent = part.removesuffix("%").partition("=")
        if not number.isdigit() or not percent.isdigit():
            raise click.BadParameter(f"{part!r} is no release and its percent, such as 7=90")
        if int(number) in found:
            raise click.BadParameter(f"release {number} is named twice")
        found[int(number)] = int(percent)
    return found


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.argument("parts", metavar="RELEASE=PERCENT…", nargs=-1, required=True, callback=_parts)
@click.option("--shadow", type=int, metavar="RELEASE", help="It gets a copy of each request; nobody sees its answers.")
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--timeout", default=180.0, show_default=True, help="Seconds until a release must be ready.")
@json_option
def split(name: str, parts: dict[int, int], shadow: int | None, reason: str, timeout: float, as_json: bool) -> None:
    """Divide an endpoint's requests among releases: box split delay 7=90 8=10."""
    change = the_box().split(name, parts, shadow, timeout, progress, reason)
    _moved(change, as_json)


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.argument("release", type=int, required=False)
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--timeout", default=180.0, show_default=True, help="Seconds until a release must be ready.")
@click.option("--dry-run", is_flag=True, help="Say what it would return to, and change nothing.")
@json_option
def rollback(name: str, release: int | None, reason: str, timeout: float, dry_run: bool, as_json: bool) -> None:
    """Return to what was live before, or to RELEASE: traffic and alias in one step."""
    if dry_run:
        found = the_box().endpoints.before(name, release)
        click.echo(render.as_json(rollback=found) if as_json else _would(name, found))
        return
    change = the_box().rollback(name, release, timeout, progress, reason)
    _moved(change, as_json)


def _would(name: str, found: Return) -> str:
    parts = ", ".join(f"release {number}: {percent} %" for number, percent in found.weights.items())
    alias = found.alias
    goes = f"; the alias {alias['alias']} of {alias['model']} goes to version {alias['version']}" if alias else ""
    return f"{name} would return to {parts}{goes}"


def _moved(change: Any, as_json: bool) -> None:
    parts = ", ".join(f"release {number}: {percent} %" for number, percent in change.weights.items())
    shadow = f"; release {change.shadow} gets a copy" if change.shadow else ""
    say(f"{change.endpoint}: {parts}{shadow}")
    if as_json:
        click.echo(render.as_json(change=change))


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.argument("data")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds.")
@click.option("--route", help="Which API of the service, where it has several.")
def predict(name: str, data: str, timeout: float, route: str | None) -> None:
    """Ask an endpoint: DATA is JSON as text, @file or - for standard input."""
    click.echo(json.dumps(the_box().predict(name, read_json(data), timeout, route), indent=2))


@click.command()
@click.argument("name", shell_complete=complete.endpoints)
@click.option("--since", metavar="TIME", help="30m, 1h, 2d, or an ISO time.")
@click.option("--where", metavar="SQL", help="A condition: \"status <> 200 and keys->>'carrier' = 'UA'\".")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("--sql", metavar="SQL", help="A whole statement over the views predictions and requests.")
@json_option
def predictions(name: str, since: str | None, where: str | None, limit: int, sql: str | None, as_json: bool) -> None:
    """An endpoint's prediction log, read with DuckDB."""
    if sql and where:
        raise click.UsageError("give --where or --sql, not both")
    rows = the_box().predictions(name, since, where, limit, sql)
    if as_json:
        click.echo(render.as_json(predictions=rows))
    elif not rows:
        say(f"nothing of {name} is logged" + (" for this" if since or where or sql else ""))
    else:
        click.echo(render.rows(rows) if sql else render.predictions(rows))


COMMANDS: tuple[click.Command, ...] = (
    deploy,
    undeploy,
    split,
    rollback,
    predict,
    predictions,
)
