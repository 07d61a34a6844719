"""export kubernetes."""

from __future__ import annotations

import click

from boxplat import render
from boxplat.cli.base import Commands, json_option, next_step, progress, say, the_box


@click.group(cls=Commands)
def export() -> None:
    """The project for a cluster."""


@export.command()
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="The folder to write.")
@click.option("--overlay", default="dev", show_default=True, help="Which variant to render.")
@json_option
def kubernetes(output: str, overlay: str, as_json: bool) -> None:
    """Flows, tracking, features and endpoints as Kubernetes and Argo manifests."""
    files = the_box().export.kubernetes(output, overlay, progress)
    if as_json:
        click.echo(render.as_json(output=output, files=files))
    say(f"wrote {len(files)} files to {output}")
    next_step(f"kubectl kustomize {output}/overlays/{overlay}")


COMMANDS: tuple[click.Command, ...] = (export,)
