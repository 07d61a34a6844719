"""What SQLite keeps and PostgreSQL refuses, found before a row is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect, types
from sqlalchemy.engine import Connection

from boxplat.export.migrate.tables import names, quoted

_BIG = 2**31 - 1
_SHOWN = 3


def orphans(source: Connection) -> dict[str, int]:
    """Delete the rows of this copy that refer to rows which are gone; returns how many there were by table.

    PostgreSQL would refuse them, and MLflow shows them nowhere.
    """
    gone: dict[str, int] = {}
    while found := source.exec_driver_sql("pragma foreign_key_check").all():
        rows = {(str(table), int(number)) for table, number, *_ in found}
        for table, number in rows:
            source.exec_driver_sql(f"delete from {quoted(table)} where rowid = ?", (number,))
            gone[table] = gone.get(table, 0) + 1
    source.commit()
    return gone


def faults(source: Connection) -> list[str]:
    """Values that the other side cannot hold: too long, of another type, or with a zero byte in a text."""
    found = []
    look = inspect(source)
    for table in names(source):
        checks = [
            (column["name"], reason, test)
            for column in look.get_columns(table)
            for reason, test in _tests(column["type"], quoted(column["name"]))
        ]
        if not checks:
            continue
        sums = ", ".join(f"coalesce(sum({test}), 0)" for *_, test in checks)
        row = source.exec_driver_sql(f"select {sums} from {quoted(table)}").one()
        for (column_name, reason, test), count in zip(checks, row, strict=True):
            if count:
                found.append(f"{table}.{column_name} {reason} in {count} rows, {_first(source, look, table, test)}")
    return found


def _tests(kind: types.TypeEngine[Any], column: str) -> Iterator[tuple[str, str]]:
    stored = f"typeof({column})"
    if isinstance(kind, types.JSON):
        yield "is no JSON", f"{column} is not null and not json_valid({column})"
    elif isinstance(kind, types.String):
        if kind.length:
            yield f"is longer than {kind.length} characters", f"length({column}) > {kind.length}"
        yield "holds a zero byte", f"instr(cast({column} as blob), x'00') > 0"
        yield "is no text", f"{stored} not in ('text', 'null')"
    elif isinstance(kind, types.Boolean):
        yield "is neither true nor false", f"{column} not in (0, 1)"
    elif isinstance(kind, types.Integer):
        yield "is no whole number", f"{stored} not in ('integer', 'null')"
        if not isinstance(kind, types.BigInteger):
            yield "is too large", f"abs({column}) > {_BIG}"
    elif isinstance(kind, types.Float):
        yield "is no number", f"{stored} not in ('real', 'integer', 'null')"


def _first(source: Connection, look: Any, table: str, test: str) -> str:
    key = look.get_pk_constraint(table)["constrained_columns"]
    listed = ", ".join(map(quoted, key))
    rows = source.exec_driver_sql(f"select {listed} from {quoted(table)} where {test} limit {_SHOWN}").all()
    shown = (" ".join(f"{name}={str(value)[:40]!r}" for name, value in zip(key, row, strict=True)) for row in rows)
    return "first: " + "; ".join(shown)
