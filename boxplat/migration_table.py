"""A migration as text: what would go where, and what is over there now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from boxplat.render import duration, size, table

if TYPE_CHECKING:
    from boxplat.export.migrate import Migration, Plan, Table

_DIGITS = 16


def plan(found: Plan) -> str:
    """What would go by store, and what stands against it."""
    lines = ["goes on with the migration that was cut off", ""] if found.resumes else []
    rows = [(part.name, part.things, size(part.bytes or None), part.to) for part in found.parts]
    lines.append(table(("STORE", "ROWS OR FILES", "SIZE", "TO"), rows))
    if found.tables:
        lines += ["", table(("TABLE", "ROWS"), found.tables.items())]
    return "\n".join([*lines, *_said(found.notes), *(f"✗ {problem}" for problem in found.problems)])


def migration(found: Migration) -> str:
    """What is equal on both sides now."""
    rows = [*_tables("tracking", found.tables), *_tables("registry", found.registry)]
    rows += [(tree.name, "", tree.files, size(tree.bytes), tree.sent, tree.checksum[:_DIGITS]) for tree in found.trees]
    lines = [table(("STORE", "TABLE", "ROWS OR FILES", "SIZE", "WRITTEN", "CHECKSUM"), rows)]
    lines.append(f"\nequal on both sides, in {duration(found.seconds)}")
    if found.materialized:
        first = min(begin for begin, _ in found.materialized.values())
        last = max(end for _, end in found.materialized.values())
        lines.append(f"the online store over there is empty; fill it there: feast materialize {first} {last}")
    return "\n".join([*lines, *_said(found.notes)])


def _tables(store: str, tables: Sequence[Table]) -> list[tuple[object, ...]]:
    return [(store, one.name, one.rows, None, one.written, one.checksum[:_DIGITS]) for one in tables if one.rows]


def _said(notes: Sequence[str]) -> list[str]:
    return [f"! {note}" for note in notes]
