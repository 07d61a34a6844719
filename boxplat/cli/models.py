"""models list, status, show, history, calibrate, promote, rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from boxplat import render
from boxplat.cli.base import Commands, json_option, next_step, progress, say, the_box

_NOTHING = "no model is registered yet: box run flows/train.py --wait"


@click.group(cls=Commands)
def models() -> None:
    """Registered models: list, status, show, calibrate, promote, rollback."""


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every version of every registered model."""
    rows = the_box().models.list()
    click.echo(render.as_json(models=rows) if as_json else render.models(rows) if rows else _NOTHING)


@models.command()
@json_option
def status(as_json: bool) -> None:
    """Each version's metric, gates, aliases and back end, and where it serves. Asks no server."""
    from boxplat import promotions

    found = the_box().models.status()
    if as_json:
        click.echo(render.as_json(models=found))
    else:
        click.echo(promotions.status(found) if found else _NOTHING)


@models.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """The versions of one model."""
    rows = the_box().models.show(name)
    click.echo(render.as_json(models=rows) if as_json else render.models(rows))


def _sizes(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        sizes = tuple(sorted({int(size) for size in value.split(",")}))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no list of numbers like 1,8,32") from error
    if sizes[0] < 1:
        raise click.BadParameter("a batch has at least one row")
    return sizes


@models.command()
@click.argument("name")
@click.option("--version", type=int, help="Its number.  [default: the champion, else the newest]")
@click.option("--alias", help="The version that this alias points at.")
@click.option("--batches", callback=_sizes, help="Rows a call, as 1,8,32.  [default: what its endpoints allow]")
@click.option(
    "--data", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Rows to check: npz, Parquet."
)
@click.option("--metric", help="Quality to keep: auc, brier, accuracy or rmse.  [default: what fits the labels]")
@click.option("--tolerance", type=click.FloatRange(0), help="Largest difference of an answer, of their scale.")
@click.option("--reduced-tolerance", type=click.FloatRange(0), help="The same for back ends with fewer bits.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Intra-op threads.")
@click.option("--dry-run", is_flag=True, help="Measure, and record nothing.")
@json_option
def calibrate(name: str, as_json: bool, **choices: Any) -> None:
    """Measure a version's back ends and record the fastest with the same answers."""
    from boxplat.releases.calibration import Wanted

    if choices["version"] is not None and choices["alias"] is not None:
        raise click.UsageError("--version and --alias exclude each other")
    found = the_box().models.calibrate(Wanted(name, **choices), progress)
    click.echo(render.as_json(calibration=found) if as_json else render.calibration(found))
    if found.recorded:
        next_step("box restart ENDPOINT   (it loads what was chosen when it starts)")


@models.command()
@click.argument("name")
@click.argument("version")
@click.option("--to", default="champion", show_default=True, metavar="ALIAS", help="The alias to move.")
@click.option("--force", is_flag=True, help="Move it although a gate refuses; needs --reason, and is recorded.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
@click.option("--dry-run", is_flag=True, help="Judge, and change nothing.")
@click.option("--timeout", default=180.0, show_default=True, help="Seconds that an endpoint's deploy may take.")
@json_option
def promote(name: str, version: str, as_json: bool, **choices: Any) -> None:
    """Judge VERSION (a number or an alias) by its gates and move an alias to it. Exit code 5 if refused."""
    from boxplat import promotions
    from boxplat.releases.promotion import Step

    found = the_box().models.promote(Step(name, version, **choices), progress)
    click.echo(render.as_json(promotion=found) if as_json else promotions.text(found))
    if found.refused and found.judgement is not None:
        refusal = found.judgement.refusal()
        # Standard output has its one object already.
        say(str(refusal))
        raise SystemExit(int(refusal.code))


@models.command()
@click.argument("name")
@click.option("--alias", default="champion", show_default=True, help="The alias to move back.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
@click.option("--timeout", default=180.0, show_default=True, help="Seconds that an endpoint's deploy may take.")
@json_option
def rollback(name: str, as_json: bool, alias: str, reason: str, timeout: float) -> None:
    """Move an alias back to the version that had it before."""
    from boxplat import promotions

    found = the_box().models.rollback(name, alias, reason, timeout, progress)
    click.echo(render.as_json(promotion=found) if as_json else promotions.text(found))


@models.command()
@click.argument("name")
@json_option
def history(name: str, as_json: bool) -> None:
    """What was decided on a model, why, by whom; and which endpoints served which version when."""
    from boxplat import trees

    found = the_box().models.history(name)
    click.echo(render.as_json(history=found) if as_json else trees.history(found))


COMMANDS: tuple[click.Command, ...] = (models,)
