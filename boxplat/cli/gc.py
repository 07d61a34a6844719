"""gc, pin, unpin."""

from __future__ import annotations

import sys

import click

from boxplat import render, storage
from boxplat.cli.base import json_option, progress, say, the_box
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.sizes import size_of
from boxplat.gc import Outcome


@click.command()
@click.option(
    "--max-size", metavar="SIZE", help="Of the box, as 20G: the oldest and least valuable go until it is met."
)
@click.option("--older-than", metavar="AGE", help="What was of use last before such a time, as 30d, goes.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Newest runs of each flow and releases of each endpoint that stay.",
)
@click.option("--models", is_flag=True, help="Also model versions without alias that were never released.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do it without asking.")
@json_option
def gc(
    max_size: str | None,
    older_than: str | None,
    keep: int,
    models: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Free disk: old artifacts, runs, Bentos, logs and caches; never what is live, on record or pinned."""
    box = the_box()
    seen = None
    if dry_run or not yes:
        seen = box.gc(max_size, older_than, keep, models, dry_run=True)
        _show(seen, as_json and not _asks(dry_run))
        if not seen.plan.bytes or not _agreed(dry_run):
            return
    done = box.gc(max_size, older_than, keep, models, told=progress)
    if seen is None and not as_json:
        _show(done, as_json)
    click.echo(render.as_json(**_parts(done)) if as_json else storage.outcome(done))
    _enough(done, max_size)


def _asks(dry_run: bool) -> bool:
    return not dry_run and sys.stdin.isatty() and sys.stderr.isatty()


def _agreed(dry_run: bool) -> bool:
    if dry_run:
        return False
    if _asks(dry_run):
        return click.confirm("free these?", err=True)
    say("nothing was deleted   (do it: the same with --yes)")
    return False


def _show(found: Outcome, as_json: bool) -> None:
    if as_json:
        click.echo(render.as_json(**_parts(found)))
    else:
        click.echo(storage.plan(found.plan))


def _parts(found: Outcome) -> dict[str, object]:
    plan = found.plan
    things = [
        {"subject": item.subject, "kind": item.kind, "bytes": sum(item.parts.values()), "at": item.at}
        for item in plan.chosen
    ]
    return {
        "plan": {"parts": plan.parts, "bytes": plan.bytes, "size": plan.size, "kept": plan.kept, "things": things},
        "notes": plan.notes,
        "freed": found.freed,
        "after": found.after,
        "left": found.left,
    }


def _enough(done: Outcome, max_size: str | None) -> None:
    if done.left:
        raise BoxError(
            "not everything could be freed",
            why="; ".join(done.left),
            fix="box gc --yes   (it goes on where this one has stopped)",
        )
    if max_size and done.after is not None and done.after > size_of(max_size):
        reasons = ", ".join(f"{count} {why}" for why, count in done.plan.kept.items()) or "live data and state"
        raise BoxError(
            f"the box still takes {render.size(done.after)}, more than {max_size}",
            why=f"the rest must stay: {reasons}",
            fix="box gc --keep 1 --max-size …   (or: box unpin …, box undeploy …, a larger --max-size)",
            code=ExitCode.PRECONDITION,
        )


@click.command()
@click.argument("subject", required=False, metavar="[RUN|MODEL/VERSION]")
@json_option
def pin(subject: str | None, as_json: bool) -> None:
    """Keep a run or a model version from gc; without one, what is pinned."""
    rows = the_box().pin(subject)
    nothing = "nothing is pinned: box pin RUN|MODEL/VERSION"
    click.echo(render.as_json(pins=rows) if as_json else storage.pins(rows) if rows else nothing)


@click.command()
@click.argument("subject", metavar="RUN|MODEL/VERSION")
def unpin(subject: str) -> None:
    """Let gc take a run or a model version again."""
    the_box().unpin(subject)
    say(f"{subject} is no longer pinned")


COMMANDS: tuple[click.Command, ...] = (gc, pin, unpin)
