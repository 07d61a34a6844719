"""The answer to a read of a few entities: plain Python numbers, since columns cost by the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from boxplat.features.rows import heap as heaps
from boxplat.features.rows import nested, values
from boxplat.features.rows.kinds import Kind
from boxplat.features.rows.layout import Layout, Records
from boxplat.features.rows.rows import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, Mask, Rows, unknown_field

# A tuple of `Layout.packed`, and the heap that its values are in; None where there is no such entity.
Stored: TypeAlias = "tuple[tuple[Any, ...], heaps.Bytes] | None"
_NO_HEAP = np.empty(0, np.uint8)


class Place(NamedTuple):
    """Where a field is in a tuple of `Layout.packed`, and what it becomes.

    Attributes:
        where: the null bits, of them the byte and its bit, and the number, or the start and the length of the bytes (-1
            for numbers).
        decode: makes the Python value, None where it is what is stored.
        dtype: of its numbers in NumPy, or of the offsets of texts and bytes in Arrow.
        arrow: None where the type depends on what is stored.
    """

    where: tuple[int, int, int, int, int]
    decode: Callable[[Any], Any] | None
    kind: Kind
    dtype: np.dtype[Any]
    arrow: pa.DataType | None


class Few(Rows):
    """A few rows. `Rows`' columns are made from them when somebody asks for them."""

    def __init__(
        self,
        view: str,
        layout: Layout,
        places: Mapping[str, Place],
        fields: tuple[str, ...],
        stored: Sequence[Stored],
        oldest_us: int | None,
    ) -> None:
        """`places`: of the layout's fields; rows with an event before `oldest_us` are outside their maximal age."""
        self.view = view
        self.fields = fields
        self.layout = layout
        self._places = places
        self._stored = stored
        # The event time is a record's first part.
        self._live = (
            stored
            if oldest_us is None
            else [row if row is not None and row[0][0] >= oldest_us else None for row in stored]
        )

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def event_us(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array(self.times(), np.int64)

    def times(self) -> list[int]:
        return [0 if row is None else row[0][0] for row in self._stored]

    def python(self, field: str) -> list[Any]:
        place = self._places.get(field)
        if place is None or field not in self.fields:
            raise unknown_field(field, self.fields)
        return self._values(place, place.decode)

    def numpy(self, field: str) -> tuple[np.ndarray[tuple[int], np.dtype[Any]], Mask]:
        place = self._place(field)
        found = self._values(place)
        valid = np.array([value is not None for value in found])
        if place.kind.family == "fixed":
            return _numbers(place, found), valid
        out = np.empty(len(found), object)
        for at, value in enumerate(self._values(place, place.decode)):
            out[at] = value
        return out, valid

    def arrow(self, field: str) -> pa.Array:
        place = self._place(field)
        if place.kind.family in ("fixed", "text", "binary"):
            return _array(place, self._values(place))
        return nested.arrow_items(place.kind, self.python(field))

    def row(self, number: int) -> tuple[int, tuple[Any, ...], heaps.Bytes]:
        row = self._live[number]
        if row is None:
            return (NOT_FOUND if self._stored[number] is None else OUTSIDE_MAX_AGE), (), _NO_HEAP
        return PRESENT, *row

    def _place(self, field: str) -> Place:
        place = self._places.get(field)
        if place is None or field not in self.fields:
            raise unknown_field(field, self.fields)
        return place

    def _values(self, place: Place, decode: Callable[[Any], Any] | None = None) -> list[Any]:
        """The field's numbers or bytes, decoded or as they are stored; None where there is none."""
        nulls, byte, bit, at, length = place.where
        found: list[Any] = []
        for row in self._live:
            if row is None or row[0][nulls][byte] & bit:
                found.append(None)
                continue
            value = row[0][at]
            if length >= 0:
                value = row[1][value : value + row[0][length]].tobytes()
            found.append(value if decode is None else decode(value))
        return found

    @cached_property
    def _records(self) -> Records:  # type: ignore[override]
        pack, empty = self.layout.packed.pack, bytes(self.layout.packed.size)
        raw = b"".join(empty if row is None else pack(*row[0]) for row in self._stored)
        return np.frombuffer(raw, self.layout.dtype)

    @cached_property
    def _found(self) -> Mask:  # type: ignore[override]
        return np.array([row is not None for row in self._stored], bool)

    @cached_property
    def _present(self) -> Mask:  # type: ignore[override]
        return np.array([row is not None for row in self._live], bool)


def _numbers(place: Place, found: list[Any]) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """The values as NumPy, zero where there is none."""
    return np.array([0 if value is None else value for value in found] if None in found else found, place.dtype)


def _array(place: Place, found: list[Any]) -> pa.Array:
    """Numbers, texts or bytes as Arrow. Made of buffers, since making it of Python values loads pandas."""
    bitmap = None
    if None in found:
        bitmap = pa.py_buffer(np.packbits([value is not None for value in found], bitorder="little"))
    if place.kind.family == "fixed":
        numbers = _numbers(place, found)
        body = np.packbits(numbers, bitorder="little") if place.kind.element == "BOOL" else numbers
        return pa.Array.from_buffers(place.arrow, len(found), [bitmap, pa.py_buffer(body)])
    parts = [b"" if value is None else value for value in found]
    offsets = np.array([0, *accumulate(map(len, parts))], place.dtype)
    return pa.Array.from_buffers(
        place.arrow, len(found), [bitmap, pa.py_buffer(offsets), pa.py_buffer(b"".join(parts))]
    )


def places_of(layout: Layout) -> dict[str, Place]:
    """Where each field of a record is."""
    found = {}
    for at, kind in enumerate(layout.kinds):
        fixed, moment = kind.family == "fixed", kind.element == "UNIX_TIMESTAMP"
        start, length = (layout.order[str(at)], -1) if fixed else (layout.order[f"{at}s"], layout.order[f"{at}n"])
        decode: Callable[[Any], Any] | None = nested.decoder(kind)
        dtype = np.dtype(np.int64 if kind.element == "JSON" else np.int32)
        if fixed:
            decode = values.moment_of if moment else None
            dtype = np.dtype("datetime64[us]") if moment else kind.dtype
        where = layout.order["nulls"], at >> 3, 1 << (at & 7), start, length
        found[layout.fields[at][0]] = Place(where, decode, kind, dtype, kind.arrow)
    return found
