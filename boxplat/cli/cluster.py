"""export, and its kubernetes and terraform."""

from __future__ import annotations

import click

from boxplat import export_table, render
from boxplat.cli import cluster_check
from boxplat.cli.base import Commands, json_option, next_step, progress, say, the_box
from boxplat.cli.images import images
from boxplat.cli.migrate import migrate
from boxplat.cli.verify import verify


@click.group(cls=Commands, invoke_without_command=True)
@cluster_check.options
@json_option
@click.pass_context
def export(ctx: click.Context, place: str | None, old: str | None, without_schemas: bool, as_json: bool) -> None:
    """The project for a cluster."""
    if ctx.invoked_subcommand is not None:
        return
    if place is None:
        raise click.UsageError("Missing command, or --check DIR.", ctx)
    cluster_check.checked(place, old, without_schemas, as_json)


@export.command()
@click.option("--output", "-o", type=click.Path(file_okay=False), help="The folder to write.")
@click.option("--overlay", help="The only environment to render, instead of all.")
@cluster_check.options
@json_option
def kubernetes(
    output: str | None, overlay: str | None, place: str | None, old: str | None, without_schemas: bool, as_json: bool
) -> None:
    """Flows, tracking, features and endpoints as Kubernetes and Argo manifests."""
    if place is not None:
        cluster_check.checked(place, old, without_schemas, as_json)
        return
    if output is None and old is None:
        raise click.UsageError("Missing option '--output' / '-o', --check or --diff.")
    box = the_box()
    # Compared first: the folder may be the one that is written.
    changes = None if old is None else box.export.diff(old, overlay, progress)
    files = [] if output is None else box.export.kubernetes(output, overlay, progress)
    if as_json:
        click.echo(render.as_json(output=output, files=files, **({} if changes is None else {"changes": changes})))
    elif changes is not None:
        click.echo(export_table.changes(changes))
    if output is not None:
        say(f"wrote {len(files)} files to {output}")
        next_step(f"box export --check {output}")


@export.command()
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="The folder to write.")
@json_option
def terraform(output: str, as_json: bool) -> None:
    """Modules for a cluster of your own, EKS and GKE, sized from measured use."""
    files = the_box().export.terraform(output, progress)
    if as_json:
        click.echo(render.as_json(output=output, files=files))
    say(f"wrote {len(files)} files to {output}")
    next_step(f"less {output}/README.md")


export.add_command(images)
export.add_command(migrate)
export.add_command(verify)

COMMANDS: tuple[click.Command, ...] = (export,)
