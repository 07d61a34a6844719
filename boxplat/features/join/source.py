"""Where a history's rows are: in Parquet files, or in a table made from a query. Rows have numbers 0, 1, …
in the order in which they were written."""

from __future__ import annotations

import glob
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import literal, quoted
from boxplat.features.join.pages import Leaf, leaf
from boxplat.features.join.refusals import explained, missing_column, no_time, unreadable
from boxplat.features.join.request import History, statement
from boxplat.features.join.session import Session
from boxplat.features.join.times import is_time

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# Footers that are remembered, and how long a file must have been left alone for it: clocks of file systems are coarse.
_REMEMBERED, _SETTLED_NS = 64, 1_000_000_000


@dataclass(frozen=True)
class Part:
    """One Parquet file.

    Attributes:
        first: the number of its first row.
        schema: its columns as Arrow types.
        leaves: the places of those that are not nested, among the file's leaf columns.
        known: what `leaf` has found out; remembered with the footer.
    """

    path: str
    first: int
    metadata: pq.FileMetaData
    schema: pa.Schema
    leaves: dict[str, int] = field(compare=False)
    known: dict[str, Leaf | None] = field(compare=False)

    def leaf(self, column: str) -> Leaf | None:
        """A column whose values may lie in the file as in memory."""
        if column not in self.known:
            at = self.leaves.get(column)
            self.known[column] = None if at is None else leaf(self.metadata, at, self.schema.field(column).type)
        return self.known[column]


@dataclass(frozen=True)
class Source:
    """The rows of one history.

    Attributes:
        schema: the needed columns with their types.
        rows: how many there are.
        relation: SQL for all rows, with the columns under their own names.
        number: SQL for a row's number.
        parts: the files; empty for a table.
        held: columns of a small source that `scan.hold` read at once, with their row groups' first rows as `offsets`.
    """

    history: History
    schema: pa.Schema
    rows: int
    relation: str
    number: str
    parts: tuple[Part, ...] = ()
    held: dict[str, pa.ChunkedArray] = field(default_factory=dict, compare=False)
    offsets: dict[int, int] = field(default_factory=dict, compare=False)

    def kind(self, column: str) -> pa.DataType:
        """The Arrow type of a needed column."""
        return self.schema.field(column).type


def from_files(history: History) -> Source:
    """A source of Parquet files.

    Raises:
        BoxError: there is none (exit code 9), one cannot be read (1), or a column is in none of them (2).
    """
    parts: list[Part] = []
    first = 0
    for path in _expanded(history):
        part = _opened(path, first)
        parts.append(part)
        first += part.metadata.num_rows
    schema = _unified(history, parts)
    paths = ", ".join(literal(glob.escape(part.path)) for part in parts)
    number = "file_row_number"
    if len(parts) > 1:
        firsts = ", ".join(str(part.first) for part in parts)
        number = f"([{firsts}]::BIGINT[])[CAST(file_index AS BIGINT) + 1] + file_row_number"
    drifts = any(part.schema != parts[0].schema for part in parts)
    union = ", union_by_name=true" if drifts else ""
    relation = f"read_parquet([{paths}]{union}, hive_partitioning=false)"
    return Source(history, schema, first, relation, number, tuple(parts))


def from_query(history: History, session: Session, where: str, select: str) -> Source:
    """A source in a table of the session's, made from `SELECT select FROM (the history's query) WHERE where`."""
    con, table = session.con, session.table()
    text = f"CREATE TABLE {quoted(table)} AS SELECT {select} FROM ({statement(history.query)}) AS q WHERE {where}"
    with explained(f"the source of {history.name}", session.options.temp_directory):
        con.execute(text)
        schema = con.sql(f"FROM {quoted(table)} LIMIT 0").to_arrow_table().schema
        rows = con.sql(f"SELECT count(*) FROM {quoted(table)}").fetchall()[0][0]
    return Source(history, schema, rows, quoted(table), "rowid")


def described(history: History, session: Session) -> pa.Schema:
    """The needed columns of a history's query, with their types.

    Raises:
        BoxError: the query fails (exit code 1), or lacks a column (2).
    """
    text = f"SELECT * FROM ({statement(history.query)}) AS q LIMIT 0"
    with explained(f"the source of {history.name}", session.options.temp_directory):
        schema = session.con.sql(text).to_arrow_table().schema
    return checked(history, {name: schema.field(index).type for index, name in enumerate(schema.names)})


def checked(history: History, types: dict[str, pa.DataType]) -> pa.Schema:
    """The needed columns among these.

    Raises:
        BoxError: one is missing, or the event time is no time.
    """
    for column in history.columns:
        if column not in types:
            raise missing_column(f"the source of {history.name}", column, types)
    for column in filter(None, (history.timestamp, history.created)):
        if not is_time(types[column]) and not pa.types.is_null(types[column]):
            raise no_time(history.name, column, types[column])
    return pa.schema([pa.field(column, types[column]) for column in history.columns])


def remote(history: History) -> History:
    """A history with files on another machine, as a query: DuckDB has the settings with which to reach them."""
    paths = ", ".join(map(literal, history.files))
    query = f"FROM read_parquet([{paths}], union_by_name=true, hive_partitioning=false)"
    return replace(history, files=(), query=query)


def _expanded(history: History) -> list[str]:
    found: list[str] = []
    for name in history.files:
        if os.path.isdir(name):
            inside = sorted(Path(name).rglob("*.parquet"))
            found += [str(path) for path in inside if not path.name.startswith((".", "_"))]
        elif os.path.exists(name) or not glob.has_magic(name):
            found.append(name)
        else:
            found += sorted(glob.glob(name, recursive=True))
    if not found:
        raise BoxError(
            f"{history.name} has no Parquet file",
            why=f"looked for {', '.join(history.files) or 'nothing: the view names neither files nor a query'}",
            fix="run the flow that writes its source",
            code=ExitCode.NOT_FOUND,
        )
    return found


def _opened(path: str, first: int) -> Part:
    import pyarrow.parquet as pq

    try:
        found = os.stat(path)
        stamp = (path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        footer = _footers.get(stamp)
        if footer is None:
            metadata = pq.read_metadata(path)
            every = [metadata.schema.column(index) for index in range(len(metadata.schema))]
            leaves = {leaf.name: index for index, leaf in enumerate(every) if leaf.name == leaf.path}
            footer = metadata, metadata.schema.to_arrow_schema(), leaves, {}
            if time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
                if len(_footers) >= _REMEMBERED:
                    _footers.clear()
                _footers[stamp] = footer
        return Part(path, first, *footer)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


_Footer = tuple["pq.FileMetaData", pa.Schema, dict[str, int], dict[str, Leaf | None]]
_footers: dict[tuple[str | int, ...], _Footer] = {}


def _unified(history: History, parts: list[Part]) -> pa.Schema:
    types: dict[str, pa.DataType] = {}
    for part in parts:
        for index, name in enumerate(part.schema.names):
            kind = part.schema.field(index).type
            if types.setdefault(name, kind) != kind:
                types[name] = _wider(history, name, types[name], kind)
    return checked(history, types)


def _wider(history: History, column: str, one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        # Without a zone means UTC, so that the two can be told apart no longer.
        return pa.timestamp(max(one.unit, other.unit, key=("s", "ms", "us", "ns").index), one.tz or other.tz)
    schemas = [pa.schema([pa.field(column, kind)]) for kind in (one, other)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException as error:
        raise BoxError(
            f"column {column!r} of {history.name} is {one} in one file and {other} in another",
            why="the two have no type in common",
            fix="write the newer files with the older ones' type",
            code=ExitCode.USAGE,
        ) from error
