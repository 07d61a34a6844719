"""Reading columns of chosen row groups, and which row groups can hold what is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from boxplat.features.join.pages import plain
from boxplat.features.join.refusals import unreadable
from boxplat.features.join.source import Part, Source

# Rows of a source that is read at once.
_SMALL = 2**16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Group:
    """A row group: its file, its place there, the number of its first row, its rows, and the first and last event
    time where the file says them (microseconds)."""

    part: Part
    index: int
    first: int
    rows: int
    low: int | None
    high: int | None


def groups(source: Source, span: tuple[int, int]) -> list[Group]:
    """The row groups that may hold a row which an entity row in this span of time (microseconds) can see."""
    ttl = source.history.reach
    earliest = span[0] - ttl if ttl else None
    return [
        group
        for part in source.parts
        for group in _of_part(part, source.history.timestamp)
        if group.rows
        and not (group.low is not None and group.low > span[1])
        and not (earliest is not None and group.high is not None and group.high < earliest)
    ]


def every(source: Source) -> list[Group]:
    """All row groups that have rows, without their times."""
    found = []
    for part in source.parts:
        first = part.first
        for index in range(part.metadata.num_row_groups):
            rows = part.metadata.row_group(index).num_rows
            if rows:
                found.append(Group(part, index, first, rows, None, None))
            first += rows
    return found


def bounds(chosen: Sequence[Group], column: str) -> tuple[int, int] | None:
    """Between which whole numbers a column's values lie in these row groups; None where a file does not say it."""
    low, high = [], []
    for group in chosen:
        leaf = group.part.leaves.get(column)
        found = None if leaf is None else group.part.metadata.row_group(group.index).column(leaf).statistics
        if found is None or not found.has_min_max or type(found.min) is not int:
            return None
        low.append(found.min)
        high.append(found.max)
    return (min(low), max(high)) if low else None


def _of_part(part: Part, column: str) -> Iterator[Group]:
    known = column in part.schema.names
    place = part.leaves.get(column) if known else None
    first = part.first
    for index in range(part.metadata.num_row_groups):
        group = part.metadata.row_group(index)
        low, high = (None, None)
        if place is not None:
            low, high = _bounds(group.column(place).statistics, part.schema.field(column).type)
        yield Group(part, index, first, group.num_rows, low, high)
        first += group.num_rows


def _bounds(statistics: Any, kind: pa.DataType) -> tuple[int | None, int | None]:
    if statistics is None or not statistics.has_min_max or not (pt.is_timestamp(kind) or pt.is_date(kind)):
        return None, None
    if pt.is_timestamp(kind) and kind.unit == "ns":
        if statistics.physical_type != "INT64":
            return None, None
        return statistics.min_raw // 1000, statistics.max_raw // 1000
    try:
        return _micros(statistics.min), _micros(statistics.max)
    except (OverflowError, ValueError):  # a moment outside Python's calendar
        return None, None


def _micros(value: Any) -> int | None:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - _EPOCH.date()).days * 86_400_000_000
    return None


def read(source: Source, chosen: Sequence[Group], column: str, as_codes: bool = False) -> pa.ChunkedArray:
    """One column of these row groups, in their order.

    Args:
        as_codes: text as dictionary arrays: far faster where values repeat.

    Raises:
        BoxError: a file that cannot be read (exit code 1).
    """
    kind = source.kind(column)
    held = source.held.get(column)
    if held is not None:
        slices = [held.slice(source.offsets[group.first], group.rows) for group in chosen]
        return held if len(slices) == len(source.offsets) else pa.chunked_array(c for s in slices for c in s.chunks)
    dictionary = as_codes and _has_codes(chosen, column, kind)
    chunks: list[pa.Array] = []
    for part, members in groupby(chosen, key=lambda group: group.part):
        here = list(members)
        values = _plain(part, here, column, kind)
        chunks += values.chunks if values is not None else _decoded(part, here, column, kind, dictionary)
    if not chunks:
        return pa.chunked_array([], type=kind)
    return pa.chunked_array(chunks)


def _plain(part: Part, members: Sequence[Group], column: str, kind: pa.DataType) -> pa.ChunkedArray | None:
    found = part.leaf(column)
    if found is None or part.schema.field(column).type != kind:
        return None
    try:
        values = plain(part.path, found, [member.index for member in members], kind)
    except OSError as error:
        raise unreadable(part.path, error) from error
    return None if values is None else pa.chunked_array([values])


def _decoded(part: Part, members: Sequence[Group], column: str, kind: pa.DataType, dictionary: bool) -> list[pa.Array]:
    wanted = pa.dictionary(pa.int32(), kind) if dictionary else kind
    if column not in part.schema.names:
        return [pa.nulls(sum(member.rows for member in members), wanted)]
    values = _table(part, members, [column], [column] if dictionary else []).column(column)
    chunks: list[pa.Array] = (values if values.type == wanted else values.cast(wanted)).chunks
    return chunks


def _has_codes(chosen: Sequence[Group], column: str, kind: pa.DataType) -> bool:
    """Whether a text column is stored as a dictionary and codes."""
    if not (pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind)):
        return False
    for group in chosen:
        place = group.part.leaves.get(column)
        if place is not None and group.rows:
            return any(
                "DICTIONARY" in name for name in group.part.metadata.row_group(group.index).column(place).encodings
            )
    return False


def hold(source: Source, chosen: Sequence[Group]) -> None:
    """Read all columns of these row groups now, where they are small: every further read would cost more than its rows.

    Raises:
        BoxError: a file that cannot be read (exit code 1).
    """
    parts = {group.first: group.part for group in chosen}
    names = source.schema.names
    first = chosen[0].part
    small = sum(group.rows for group in chosen) <= _SMALL and all(part is first for part in parts.values())
    if not small or any(source.kind(name) != kind for name, kind in _types(first, names)):
        return
    columns = {name: _plain(first, chosen, name, source.kind(name)) for name in names}
    rest = [name for name, values in columns.items() if values is None]
    coded = [name for name in rest if _has_codes(chosen, name, source.kind(name))]
    columns.update(zip(rest, _table(first, chosen, rest, coded).columns, strict=True))
    source.offsets.clear()
    offset = 0
    for group in chosen:
        source.offsets[group.first] = offset
        offset += group.rows
    source.held.update(columns)


def _types(part: Part, names: Sequence[str]) -> list[tuple[str, pa.DataType | None]]:
    known = set(part.schema.names)
    return [(name, part.schema.field(name).type if name in known else None) for name in names]


def _table(part: Part, members: Sequence[Group], names: list[str], coded: list[str]) -> pa.Table:
    """Columns of some row groups of a file; text in `coded` as dictionary arrays."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part.path, metadata=part.metadata, read_dictionary=coded or None) as file:
            if len(members) == part.metadata.num_row_groups:
                return file.read(columns=names, use_threads=False)
            return file.read_row_groups([member.index for member in members], columns=names, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(part.path, error) from error


def numbers(chosen: Sequence[Group], places: np.ndarray) -> np.ndarray:
    """Row numbers of places among the rows of these row groups; -1 stays."""
    starts = np.cumsum([0] + [group.rows for group in chosen[:-1]])
    shifts = np.array([group.first for group in chosen]) - starts
    if (shifts == shifts[0]).all():
        return places + shifts[0] if shifts[0] == 0 else np.where(places >= 0, places + shifts[0], -1)
    return np.where(places >= 0, places + shifts[np.searchsorted(starts, places, "right") - 1], -1)
