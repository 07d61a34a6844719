"""The feature columns of chosen history rows, in their exact types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from boxplat.features.database import quoted
from boxplat.features.join.refusals import explained
from boxplat.features.join.scan import Group, every, read
from boxplat.features.join.session import Session
from boxplat.features.join.source import Source

# A value in flight: decoded, and once more while chunks are joined.
BYTES_PER_ROW = 24

Column = Callable[[], pa.Array]


@dataclass(frozen=True)
class _Slice:
    """Row groups that are read together, and which of their rows are taken.

    Attributes:
        clipped: places among the members' rows, 0 where none is taken, [M].
        bitmap: validity of each place; None: all are valid.
    """

    members: Sequence[Group]
    clipped: pa.Array
    bitmap: pa.Buffer | None

    @classmethod
    def of(cls, members: Sequence[Group], places: np.ndarray, missing: np.ndarray | None) -> _Slice:
        total = sum(member.rows for member in members)
        indices = places.astype(np.int32 if total < 2**31 else np.int64)
        if missing is None or not missing.any():
            return cls(members, pa.array(indices), None)
        indices[missing] = 0
        return cls(members, pa.array(indices), pa.py_buffer(np.packbits(~missing, bitorder="little")))

    def take(self, source: Source, column: str) -> pa.Array:
        """A column's values at the places."""
        return _decoded(self._taken(read(source, self.members, column, True)), source.kind(column))

    def _taken(self, values: pa.ChunkedArray) -> pa.Array:
        if len(values) == 0:
            return pa.nulls(len(self.clipped), values.type)
        whole = values.unify_dictionaries() if pt.is_dictionary(values.type) else values
        whole = whole.chunk(0) if whole.num_chunks == 1 else whole.combine_chunks()
        if self.bitmap is None or (whole.null_count == 0 and _is_fixed(whole.type)):
            found = pc.take(whole, self.clipped, boundscheck=False)
            return found if self.bitmap is None else _masked(found, self.bitmap)
        return pc.take(whole, _masked(self.clipped, self.bitmap), boundscheck=False)


def _masked(values: pa.Array, bitmap: pa.Buffer) -> pa.Array:
    """The same values with another validity; many columns share one bitmap."""
    return pa.Array.from_buffers(values.type, len(values), [bitmap, values.buffers()[1]], offset=values.offset)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pt.is_primitive(kind) or pt.is_decimal(kind) or pt.is_fixed_size_binary(kind))


def _decoded(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if pt.is_dictionary(values.type) and not pt.is_dictionary(kind):
        values = values.dictionary_decode()
    return values if values.type == kind else values.cast(kind)


def columns(source: Source, rows: np.ndarray, slice_rows: int, session: Session) -> list[Column]:
    """Each feature of a history at these row numbers (int64 [N]; -1: null), to be called once each, in any thread.

    Args:
        slice_rows: how many rows of a column may be decoded at a time.
    """
    missing = rows < 0
    names = [column for column, _ in source.history.features]
    if missing.all():
        return [partial(pa.nulls, len(rows), source.kind(name)) for name in names]
    if not source.parts:
        return _from_table(source, rows, session)
    members, places = _touched(every(source), rows, missing)
    if sum(member.rows for member in members) <= slice_rows:
        whole = _Slice.of(members, places, missing)
        return [partial(whole.take, source, name) for name in names]
    slices, indices = _sliced(members, places, missing, slice_rows)
    return [partial(_in_slices, source, name, slices, indices) for name in names]


def _touched(groups: list[Group], rows: np.ndarray, missing: np.ndarray) -> tuple[list[Group], np.ndarray]:
    """The row groups that hold one of these rows, and the rows' places among theirs (no meaning where missing)."""
    starts = np.array([group.first for group in groups])
    hit = np.zeros(len(groups), bool)
    some = rows[:: max(len(rows) // (64 * len(groups)), 1)]
    hit[np.searchsorted(starts, some[some >= 0], "right") - 1] = True
    if hit.all():
        return groups, rows
    owners = np.searchsorted(starts, rows, "right") - 1
    hit[owners[~missing]] = True
    members = [group for group, wanted in zip(groups, hit, strict=True) if wanted]
    begins = np.zeros(len(groups), np.int64)
    begins[hit] = np.cumsum([0] + [member.rows for member in members[:-1]])
    return members, rows - (starts - begins)[owners]


def _sliced(members: list[Group], places: np.ndarray, missing: np.ndarray, limit: int) -> tuple[list[_Slice], pa.Array]:
    """Slices of at most `limit` rows with ascending places, and where each entity row's value is among all of them."""
    there = np.flatnonzero(~missing)
    order = there[np.argsort(places[there])]
    ascending = places[order]
    edges, held = [0], 0
    for index, member in enumerate(members):
        if held and held + member.rows > limit:
            edges.append(index)
            held = 0
        held += member.rows
    begins = np.cumsum([0] + [member.rows for member in members])
    slices = []
    for first, last in pairwise([*edges, len(members)]):
        low, high = np.searchsorted(ascending, [begins[first], begins[last]])
        slices.append(_Slice.of(members[first:last], ascending[low:high] - begins[first], None))
    indices = np.zeros(len(places), np.int64)
    indices[order] = np.arange(len(order))
    return slices, pa.array(indices, mask=missing)


def _in_slices(source: Source, column: str, slices: Sequence[_Slice], indices: pa.Array) -> pa.Array:
    return pa.concat_arrays([piece.take(source, column) for piece in slices]).take(indices)


def _from_table(source: Source, rows: np.ndarray, session: Session) -> list[Column]:
    wanted, places = np.unique(rows[rows >= 0], return_inverse=True)
    taken = np.zeros(len(rows), np.int64)
    taken[rows >= 0] = places
    indices = pa.array(taken, mask=rows < 0)
    names = ", ".join(f"h.{quoted(column)}" for column, _ in source.history.features)
    con = session.cursor()
    try:
        con.register("wanted_rows", pa.table({"rn": wanted}))
        with explained(f"the source of {source.history.name}", session.options.temp_directory):
            text = f"SELECT {names} FROM {source.relation} h JOIN wanted_rows w ON h.rowid = w.rn ORDER BY w.rn"
            found = con.sql(text).to_arrow_table()
    finally:
        con.close()
    return [partial(_from_column, column, indices) for column in found.columns]


def _from_column(column: pa.ChunkedArray, indices: pa.Array) -> pa.Array:
    return column.combine_chunks().take(indices)
