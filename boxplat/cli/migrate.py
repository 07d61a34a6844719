"""export migrate."""

from __future__ import annotations

import os
from pathlib import Path

import click

from boxplat import migration_table, render
from boxplat.cli.base import json_option, next_step, progress, the_box
from boxplat.core.errors import BoxError, ExitCode


@click.command()
@click.option("--to-database-env", metavar="NAME", help="The variable with the address of MLflow's database.")
@click.option("--to-database-file", type=click.Path(dir_okay=False), help="Or the file with it.")
@click.option("--to-registry-env", metavar="NAME", help="The variable with the address of Feast's, if another.")
@click.option("--storage", default="", metavar="URL", help="s3://BUCKET/PREFIX; otherwise that of the export.")
@click.option("--storage-endpoint", default="", metavar="URL", help="Of an S3 server other than AWS's.")
@click.option("--overlay", help="The environment whose storage is meant.")
@click.option("--plan", is_flag=True, help="Only show what would go where.")
@json_option
def migrate(
    to_database_env: str | None,
    to_database_file: str | None,
    to_registry_env: str | None,
    storage: str,
    storage_endpoint: str,
    overlay: str | None,
    plan: bool,
    as_json: bool,
) -> None:
    """Runs, models, artifacts, features and data to the cluster's stores; again to go on, or for what came since."""
    database = address(to_database_env, to_database_file)
    registry = address(to_registry_env, None) if to_registry_env else ""
    export = the_box().export
    if plan:
        planned = export.migration_plan(database, registry, storage, storage_endpoint, overlay, progress)
        click.echo(render.as_json(plan=planned) if as_json else migration_table.plan(planned))
        return
    found = export.migrate(database, registry, storage, storage_endpoint, overlay, progress)
    click.echo(render.as_json(migration=found) if as_json else migration_table.migration(found))
    next_step("box lift")


def address(variable: str | None, file: str | None) -> str:
    """An address holds a password, so it is never an argument: everybody on the machine could read it."""
    try:
        found = Path(file).read_text(encoding="utf-8") if file else os.environ.get(variable or "", "")
    except (OSError, UnicodeDecodeError) as error:
        raise _missing(f"cannot read {file}", str(error)) from error
    if not found.strip():
        empty = f"the file {file} is empty" if file else f"the variable {variable} is not set or empty"
        none = "--to-database-env names the variable that holds it"
        raise _missing("there is no address of a database", empty if file or variable else none)
    return found.strip()


def _missing(what: str, why: str) -> BoxError:
    fix = "export DATABASE='postgresql://USER:PASSWORD@HOST:5432/DATABASE'   (and then: --to-database-env DATABASE)"
    return BoxError(what, why=why, fix=fix, code=ExitCode.USAGE)
