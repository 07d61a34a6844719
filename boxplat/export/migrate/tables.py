"""The tables of a database to copy, in an order in which no row comes before one that it refers to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, MetaData, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SAWarning
from sqlalchemy.schema import Column

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.migrate.values import Row, reader

REVISION = "alembic_version"
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Layout:
    """A table as it is over there: the columns that are written (those that it computes are left out) and the key."""

    name: str
    columns: tuple[Column[Any], ...]
    key: tuple[str, ...]
    generated: tuple[str, ...]

    @property
    def quoted(self) -> str:
        return quoted(self.name)

    @property
    def listed(self) -> str:
        """The columns for a statement."""
        return ", ".join(quoted(column.name) for column in self.columns)

    def key_of(self, row: Sequence[Any]) -> Row:
        return tuple(value for column, value in zip(self.columns, row, strict=True) if column.name in self.key)

    def values(self, row: Sequence[Any]) -> Row:
        """A row of SQLite with the types that the columns have over there.

        Raises:
            ValueError, TypeError: a value is none of its column's type.
        """
        return tuple(reader(column)(value) for column, value in zip(self.columns, row, strict=True))

    def rows(self, source: Connection) -> Iterator[list[Row]]:
        """The table's rows in a SQLite database, some thousands at once."""
        readers = [reader(column) for column in self.columns]
        # The driver's own values: SQLAlchemy would convert by the types that SQLite's tables declare.
        found = source.exec_driver_sql(f"select {self.listed} from {self.quoted}")
        for part in found.partitions(_BATCH):
            yield [tuple(read(value) for read, value in zip(readers, row, strict=True)) for row in part]


def quoted(name: str) -> str:
    """A name for a statement; no table of these tools has one that needs more."""
    return '"' + name.replace('"', '""') + '"'


def names(source: Connection) -> list[str]:
    """The tables of the copy that is read, without the mark of the schema's revision."""
    return sorted(set(inspect(source).get_table_names()) - {REVISION})


def counts(connection: Connection, tables: Sequence[str]) -> dict[str, int]:
    """Rows by table."""
    return {
        name: int(connection.exec_driver_sql(f"select count(*) from {quoted(name)}").scalar_one()) for name in tables
    }


def revision(connection: Connection) -> str:
    """The schema's revision; empty where there is no schema, or only the beginning of one."""
    if not inspect(connection).has_table(REVISION):
        return ""
    return str(connection.exec_driver_sql(f"select version_num from {REVISION}").scalar() or "")


def layouts(source: Connection, target: Connection) -> list[Layout]:
    """The tables of the source as they are over there, those first that others refer to.

    Raises:
        BoxError: a table or column with something in it is missing there, or a table has no key (exit code 4).
    """
    wanted = names(source)
    there = MetaData()
    present = set(inspect(target).get_table_names())
    with warnings.catch_warnings():
        # Of the index expressions and options that it does not read; the columns are all that counts here.
        warnings.simplefilter("ignore", SAWarning)
        there.reflect(target, only=[name for name in wanted if name in present])
    rows = counts(source, [name for name in wanted if name not in present])
    missing = [f"table {name}" for name, count in rows.items() if count]
    found = []
    for table in there.sorted_tables:
        if table.name not in wanted:
            continue
        columns = tuple(column for column in table.columns if column.computed is None)
        local = {entry["name"] for entry in inspect(source).get_columns(table.name)}
        missing += [f"column {table.name}.{name}" for name in sorted(local - {column.name for column in table.columns})]
        missing += [f"key of {table.name}"] * (not table.primary_key.columns)
        generated = tuple(column.name for column in columns if isinstance(column.type, Integer) and column.primary_key)
        key = tuple(column.name for column in columns if column.primary_key)
        columns = tuple(column for column in columns if column.name in local)
        found.append(Layout(table.name, columns, key, generated))
    if missing:
        raise BoxError(
            "the tables over there are not those of this project",
            why=f"missing there: {', '.join(missing[:8])}{', …' if len(missing) > 8 else ''}",
            fix="give an empty database, or one that an earlier box export migrate has filled",
            code=ExitCode.PRECONDITION,
        )
    return found
