"""lift."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from boxplat import lift_table, render
from boxplat.cli.base import json_option, next_step, progress, say, the_box
from boxplat.cli.migrate import address
from boxplat.core.errors import BoxError, ExitCode


@click.command()
@click.option("--overlay", default="", help="The environment (dev unless an export or a lift says otherwise).")
@click.option("--context", default="", help="Of the kubeconfig, instead of the current one.")
@click.option(
    "--from", "source", type=click.Path(exists=True, file_okay=False), help="An export, instead of a new one."
)
@click.option("--plan", is_flag=True, help="Only show what would be done.")
@click.option("--resume", is_flag=True, help="Go on with the lift that was interrupted or failed.")
@click.option("--rollback", is_flag=True, help="Apply the export of the former complete lift again.")
@click.option("--to", default=0, metavar="N", help="With --rollback: of lift N.")
@click.option("--images", is_flag=True, help="Build and push the images first.")
@click.option("--to-database-env", metavar="NAME", help="Move history and data too: the variable with the address.")
@click.option("--to-registry-env", metavar="NAME", help="The variable with that of Feast's database, if another.")
@click.option("--smoke", default="", metavar="FLOW", help="Run this flow once over there, and compare.")
@click.option("--take-over", is_flag=True, help="Take over fields that others set.")
@click.option("--timeout", default=900.0, show_default=True, help="Seconds that a wave may take.")
@click.option("--yes", is_flag=True, help="Agree to what the plan calls dangerous.")
@json_option
def lift(
    to_database_env: str | None, to_registry_env: str | None, context: str, yes: bool, as_json: bool, **asked: Any
) -> None:
    """The project onto a cluster: shows what it will do, asks, and does it in waves."""
    from boxplat.export.lift import Order

    _sensible(asked)
    source = asked.pop("source")
    order = Order(source=Path(source) if source else None, ready=asked.pop("timeout"), **asked)
    database = address(to_database_env, None) if to_database_env else ""
    registry = address(to_registry_env, None) if to_registry_env else ""
    try:
        found = the_box().lift(order, lambda plan: agreed(plan, yes, as_json), context, database, registry, progress)
    except KeyboardInterrupt:
        say("interrupted: box lift --resume goes on")
        raise
    if as_json:
        click.echo(render.as_json(lift=found))
    elif order.plan:
        click.echo(lift_table.plan(found.plan))
    _closing(found, order)


def agreed(plan: Any, yes: bool, as_json: bool) -> bool:
    """The plan is shown whatever comes; nobody is asked where nothing is dangerous.

    Raises:
        BoxError: something is, and there is nobody to ask (exit code 2).
    """
    if not as_json:
        say(lift_table.plan(plan))
    if yes or not plan.dangers:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BoxError(
            "the plan has something that a person must agree to",
            why="\n".join(f"{finding.rule}: {finding.what}" for finding in plan.dangers),
            fix="box lift --yes   (box lift --plan shows everything)",
            code=ExitCode.USAGE,
        )
    return click.confirm("lift?", err=True)


def _closing(found: Any, order: Any) -> None:
    if order.plan:
        next_step("box lift")
    elif not found.number:
        say("nothing was done")
    else:
        smoke = f", {found.workflow} gave the same as here" if found.workflow else ""
        say(f"lift {found.number} is complete: {lift_table.summary(found.plan)}{smoke}")
        next_step(f"kubectl get pods -n {found.plan.target.namespace}")


def _sensible(asked: dict[str, Any]) -> None:
    chosen = [f"--{name}" for name in ("resume", "rollback") if asked[name]]
    chosen += ["--from"] if asked["source"] else []
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} exclude each other.")
    if asked["to"] and not asked["rollback"]:
        raise click.UsageError("--to needs --rollback.")


COMMANDS: tuple[click.Command, ...] = (lift,)
