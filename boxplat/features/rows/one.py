"""The answer to a read of one entity: plain Python numbers, since columns cost by the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from boxplat.features.rows import heap as heaps
from boxplat.features.rows import nested, values
from boxplat.features.rows.layout import Layout, Records
from boxplat.features.rows.rows import NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, Mask, Rows, unknown_field


class Place(NamedTuple):
    """Where a field is in a tuple of `Layout.packed`: its null bit, its number, or the start and length of its
    bytes."""

    bit: int
    at: int
    length: int
    decode: Callable[[Any], Any] | None


class One(Rows):
    """One row. `Rows`' columns are made from it when somebody asks for them."""

    def __init__(
        self,
        view: str,
        layout: Layout,
        places: Mapping[str, Place],
        fields: tuple[str, ...],
        record: tuple[Any, ...] | None,
        heap: heaps.Bytes,
        oldest_us: int | None,
    ) -> None:
        """`places`: of the layout's fields; `record` is a tuple of `layout.packed`, None when there is no such entity;
        its values are in `heap`."""
        self.view = view
        self.fields = fields
        self.layout = layout
        self._places = places
        self._record = record
        self._heap = heap
        self._fresh = record is not None and (oldest_us is None or record[layout.order["event"]] >= oldest_us)
        self._which = None

    def __len__(self) -> int:
        return 1

    def python(self, field: str) -> list[Any]:
        place = self._places.get(field)
        if place is None or field not in self.fields:
            raise unknown_field(field, self.fields)
        record = self._record
        if record is None or not self._fresh or self._null_bits & place.bit:
            return [None]
        value = record[place.at]
        if place.length >= 0:
            value = self._heap[value : value + record[place.length]].tobytes()
        return [value if place.decode is None else place.decode(value)]

    def row(self, number: int) -> tuple[int, tuple[Any, ...], heaps.Bytes]:
        if number:
            raise IndexError(f"row {number} of 1")
        if self._record is None or not self._fresh:
            return (NOT_FOUND if self._record is None else OUTSIDE_MAX_AGE), (), self._heap
        return PRESENT, self._record, self._heap

    @cached_property
    def _null_bits(self) -> int:
        assert self._record is not None
        return int.from_bytes(self._record[self.layout.order["nulls"]], "little")

    @cached_property
    def _records(self) -> Records:  # type: ignore[override]
        if self._record is None:
            return np.zeros(1, self.layout.dtype)
        return np.frombuffer(self.layout.packed.pack(*self._record), self.layout.dtype)

    @cached_property
    def _found(self) -> Mask:  # type: ignore[override]
        return np.array([self._record is not None])

    @cached_property
    def _present(self) -> Mask:  # type: ignore[override]
        return np.array([self._fresh])

    @cached_property
    def _heaps(self) -> tuple[heaps.Bytes, ...]:  # type: ignore[override]
        return (self._heap,)


def places_of(layout: Layout) -> dict[str, Place]:
    """Where each field of a record is."""
    found = {}
    for at, kind in enumerate(layout.kinds):
        fixed = kind.family == "fixed"
        start, length = (layout.order[str(at)], -1) if fixed else (layout.order[f"{at}s"], layout.order[f"{at}n"])
        decode: Callable[[Any], Any] | None = nested.decoder(kind)
        if fixed:
            decode = values.moment_of if kind.element == "UNIX_TIMESTAMP" else None
        found[layout.fields[at][0]] = Place(1 << at, start, length, decode)
    return found
