"""Keys as dense whole numbers: equal keys have equal codes, whatever their type and however many columns they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from boxplat.features.join.keys import Common, family
from boxplat.features.join.times import to_micros

# Families of keys that have codes; the others (decimals, …) are compared in SQL.
CODED = ("int", "float", "text", "bytes", "bool", "time", "null")
# Combined codes beyond this are made dense again, so that a code and a row number fit into 63 bits.
_DENSE = 2**30


class _Column(Protocol):
    @property
    def count(self) -> int: ...

    def encode(self, column: pa.ChunkedArray) -> np.ndarray: ...


@dataclass(frozen=True)
class _Range:
    """Whole numbers `low` … `low + count - 1`; others get `count`."""

    form: Common
    low: int
    count: int

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        values, valid = _integers(column, self.form)
        # Unsigned differences wrap round, so that what lies below the range lies above it too.
        codes = values.view(np.uint64) - np.uint64(self.low % 2**64)
        np.minimum(codes, np.uint64(self.count), out=codes)
        if valid is not None:
            codes[~valid] = self.count
        return codes.view(np.int64)


@dataclass(frozen=True)
class _Set:
    """Values of any type by their place among the distinct ones; others get `count`."""

    form: Common
    values: pa.Array

    @property
    def count(self) -> int:
        return len(self.values)

    def encode(self, column: pa.ChunkedArray) -> np.ndarray:
        if self.form.kind in ("int", "bool", "time"):
            values, valid = _integers(column, self.form)
            return self._places(pa.array(values, mask=None if valid is None else ~valid))
        pieces = [self._piece(chunk) for chunk in column.chunks]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    def _piece(self, chunk: pa.Array) -> np.ndarray:
        if not pa.types.is_dictionary(chunk.type):
            return self._places(_plain(chunk, self.values.type))
        places: np.ndarray = np.append(self._places(_plain(chunk.dictionary, self.values.type)), self.count)
        found: np.ndarray = places.take(chunk.indices.fill_null(len(chunk.dictionary)).to_numpy(zero_copy_only=False))
        return found

    def _places(self, values: pa.Array) -> np.ndarray:
        found = pc.index_in(values, value_set=self.values).fill_null(self.count)
        places: np.ndarray = found.to_numpy(zero_copy_only=False)
        return places.astype(np.int64)


@dataclass(frozen=True)
class Coded:
    """One key column of the entity rows: its distinct values, and each row's code among them (int64 [N])."""

    part: _Column
    codes: np.ndarray

    @classmethod
    def of(cls, column: pa.ChunkedArray, form: Common) -> Coded:
        """As compared in `form`."""
        if form.kind in ("null", "int", "bool", "time") or pa.types.is_dictionary(column.type):
            part = _column(column, form)
            return cls(part, part.encode(column))
        kind = _comparable(column.type)
        plain = pa.chunked_array([_plain(chunk, kind) for chunk in column.chunks], type=kind)
        # One pass of hashing gives both.
        coded = plain.dictionary_encode().unify_dictionaries()
        if not coded.num_chunks:
            return cls(_Set(form, pa.array([], kind)), np.zeros(0, np.int64))
        values = coded.chunk(0).dictionary
        indices = pa.chunked_array([chunk.indices for chunk in coded.chunks])
        return cls(_Set(form, values), indices.fill_null(len(values)).to_numpy().astype(np.int64))


class Codes:
    """The codes of one set of key columns.

    Attributes:
        values: of the entity rows, int64 [N]; -1 where a key is null.
        count: codes are below it; `encode` gives `count` to what no entity row has.
    """

    def __init__(self, columns: Sequence[Coded], rows: int) -> None:
        self._columns = [column.part for column in columns]
        self._denser: list[pa.Array | None] = []
        self.count = 1
        values = np.zeros(rows if not columns else 0, np.int64)
        for index, (part, column) in enumerate(zip(self._columns, columns, strict=True)):
            values = _joined(values, column.codes, self.count, part.count) if index else column.codes
            self.count *= part.count
            self._denser.append(None)
            if self.count > _DENSE and len(self._columns) > 1:
                distinct = np.unique(values[values < self.count])
                values = self._compact(len(self._denser) - 1, pa.array(distinct), values)
        self.values = values if len(values) and values.max() < self.count else np.where(values < self.count, values, -1)

    def encode(self, columns: Sequence[pa.ChunkedArray], rows: int) -> np.ndarray:
        """Codes of a history's keys, int64 [rows]."""
        values, count = np.zeros(rows if not columns else 0, np.int64), 1
        for index, (part, denser, column) in enumerate(zip(self._columns, self._denser, columns, strict=True)):
            codes = part.encode(column)
            values = _joined(values, codes, count, part.count) if index else codes
            count *= part.count
            if denser is not None:
                values = _Set(Common("dense"), denser)._places(pa.array(values))
                count = len(denser)
        return values

    def between(self, low: int, high: int) -> tuple[int, int] | None:
        """The first and the last code of the keys from `low` to `high`; None where codes are not in the keys' order."""
        part = self._columns[0] if len(self._columns) == 1 else None
        if not isinstance(part, _Range):
            return None
        # A history's keys may be so far off that their codes would not fit into 64 bits.
        return min(max(low - part.low, 0), part.count), max(min(high - part.low, part.count), -1)

    def _compact(self, index: int, distinct: pa.Array, values: np.ndarray) -> np.ndarray:
        self._denser[index] = distinct
        self.count = len(distinct)
        return _Set(Common("dense"), distinct)._places(pa.array(values))


def _joined(left: np.ndarray, right: np.ndarray, count: int, further: int) -> np.ndarray:
    """Codes of pairs; `count * further` where either has none."""
    values: np.ndarray = left * further + right
    values[(left >= count) | (right >= further)] = count * further
    return values


def _column(column: pa.ChunkedArray, form: Common) -> _Column:
    if form.kind == "null":
        return _Set(Common("text"), pa.array([], pa.string()))
    if form.kind in ("int", "bool", "time"):
        values, valid = _integers(column, form)
        present = values if valid is None else values[valid]
        low, high = (int(present.min()), int(present.max())) if len(present) else (0, -1)
        if high - low < max(4 * len(values), 2**20):
            return _Range(form, low, high - low + 1)
        return _Set(form, pa.array(np.unique(present)))
    kind = _comparable(column.type.value_type if pa.types.is_dictionary(column.type) else column.type)
    plain = pa.chunked_array([_plain(chunk, kind) for chunk in column.chunks], type=kind)
    return _Set(form, plain.unique().drop_null())


def _comparable(kind: pa.DataType) -> pa.DataType:
    """The type in which Arrow can look values of this one up."""
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return kind
    return pa.string() if family(kind) == "text" else pa.binary()


def _integers(column: pa.ChunkedArray, form: Common) -> tuple[np.ndarray, np.ndarray | None]:
    """int64 values, and which of them are there (None: all)."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64), np.zeros(len(column), bool)
    if form.kind == "time":
        return to_micros(column)
    if family(column.type) == "float":
        numbers = column.cast(pa.float64()).to_numpy()
        whole = (numbers == np.trunc(numbers)) & (np.abs(numbers) < 9.2e18)
        return np.where(whole, numbers, 0).astype(np.int64), whole
    values = column.cast(pa.int8()) if form.kind == "bool" else column
    valid = None if values.null_count == 0 else pc.is_valid(values).to_numpy()
    filled = values if valid is None else pc.fill_null(values, 0)
    return filled.to_numpy().astype(np.int64, copy=False), valid


def _plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values in the type in which they are compared; NaN equals nothing, and -0.0 is 0.0."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    values = values.cast(kind)
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), pc.add(values, 0.0))
    return values
