"""export verify."""

from __future__ import annotations

import click

from boxplat import export_table, render
from boxplat.cli.base import json_option, progress, say, the_box
from boxplat.core.errors import ExitCode


@click.command()
@click.argument("chosen", nargs=-1, metavar="[FLOW or ENDPOINT]...")
@click.option("--overlay", default="dev", show_default=True, help="The environment whose templates are run.")
@json_option
@click.pass_context
def verify(ctx: click.Context, chosen: tuple[str, ...], overlay: str, as_json: bool) -> None:
    """Run the exported flows and servers on this machine, and compare with their local runs and releases."""
    proof = the_box().export.verify(chosen, overlay, progress)
    click.echo(render.as_json(proof=proof) if as_json else export_table.proof(proof))
    if proof.folder is not None:
        say(f"the output of every pod: {proof.folder}")
    if proof.differences:
        ctx.exit(ExitCode.CHECK_FAILED)
