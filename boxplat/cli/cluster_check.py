"""What `box export --check` and `--diff` print, and their exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from boxplat import export_table, render
from boxplat.cli.base import progress, say
from boxplat.core.errors import BoxError, ExitCode


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--check`, `--diff` and `--without-schemas`."""
    there = click.Path(file_okay=False)
    given = (
        click.option("--check", "place", metavar="DIR", type=there, help="Check an export; exit code 10 on a fault."),
        click.option("--diff", "old", metavar="OLD", type=there, help="Say what differs from an earlier export."),
        click.option("--without-schemas", is_flag=True, help="Check without the schemas of boxplat[export]."),
    )
    for option in reversed(given):
        function = option(function)
    return function


def checked(place: str, old: str | None, without_schemas: bool, as_json: bool) -> None:
    """Check an export, and say what differs from an earlier one.

    Raises:
        SystemExit: there is a fault (10).
    """
    from boxplat.groups_export import Export

    found = Export.check(place, not without_schemas, progress)
    changes = None if old is None else Export.difference(old, place)
    if as_json:
        click.echo(render.as_json(**render.plain(found), **({} if changes is None else {"changes": changes})))
    else:
        click.echo(export_table.report(found))
        if changes is not None:
            click.echo(export_table.changes(changes))
    if found.faults:
        say(str(_refusal(place, len(found.faults))))
        raise SystemExit(int(ExitCode.CHECK_FAILED))


def _refusal(place: str, count: int) -> BoxError:
    return BoxError(
        f"the export in {place} has {count} faults",
        why="each is in the table with its rule; docs/export-check.md of boxplat says what a rule is for",
        fix=f"correct what the project declares, then: box export kubernetes -o {place}",
        code=ExitCode.CHECK_FAILED,
    )
