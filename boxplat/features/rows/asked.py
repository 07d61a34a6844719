"""The keys of a read, without Arrow: it would load pandas, which takes longer than everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boxplat.features.rows import heap
from boxplat.features.rows.codecs import Column, Encoded
from boxplat.features.rows.keys import Key, Keys, bytes_keys, encode_keys
from boxplat.features.rows.keysets import KeySet
from boxplat.features.rows.layout import Layout
from boxplat.features.rows.plainkeys import few_keys


class Asked:
    """The keys of one request, encoded once for all views whose keys are of the same names and types."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        """`columns`: N values for each key; not changed afterwards."""
        self.columns = columns
        self._known: tuple[tuple[str, str], ...] | None = None
        self._few: list[Key | None] | None = None
        self._many: Keys | None = None
        # By key set, where the few keys are in every segment that has it.
        self.places: dict[KeySet, list[int]] = {}

    def few(self, layout: Layout) -> list[Key | None] | None:
        """`plainkeys.few_keys`: None where it takes `many`."""
        if layout.keys != self._known:
            self._known, self._many, self.places = layout.keys, None, {}
            self._few = few_keys(layout, self.columns)
        return self._few

    def many(self, layout: Layout, view: str) -> Keys:
        """`asked_keys`."""
        if self._many is None or layout.keys != self._known:
            self._known, self._few = layout.keys, None
            self._many = asked_keys(layout, self.columns, view)
        return self._many


def asked_keys(layout: Layout, columns: Mapping[str, Column], view: str) -> Keys:
    """`encode_keys` for a read.

    Raises:
        BoxError: a key is missing, of another length, or of another type.
    """
    if len(layout.keys) == 1:
        name, type_ = layout.keys[0]
        column = columns.get(name)
        found = None
        if type_ in _WHOLE and isinstance(column, list | tuple | np.ndarray):
            found = _numbers(column)
        elif type_ == "STRING" and isinstance(column, list | tuple):
            found = _texts(column)
        if found is not None:
            return found
    elif layout.keys:
        parts = [_part(type_, columns.get(name)) for name, type_ in layout.keys]
        plain = [part for part in parts if part is not None]
        count = len(plain[0].starts) if plain else 0
        if len(plain) == len(parts) and all(len(part.starts) == count for part in plain):
            return bytes_keys(plain, count)
    return encode_keys(layout, columns, view)


_WHOLE = ("INT64", "INT32")


def _part(type_: str, column: Column | None) -> Encoded | None:
    """One of several keys; None where it takes Arrow."""
    if type_ in _WHOLE and isinstance(column, list | tuple | np.ndarray):
        found = _whole(column)
        if found is not None:
            numbers, valid = found
            starts, lengths = np.arange(len(numbers), dtype=np.int64) * 8, np.full(len(numbers), 8, np.int64)
            return Encoded(valid, None, starts, lengths, numbers.view(np.uint8))
    if type_ == "STRING" and isinstance(column, list | tuple):
        texts = _texts(column)
        if texts is not None and texts.starts is not None and texts.lengths is not None and texts.heap is not None:
            return Encoded(texts.valid, None, texts.starts, texts.lengths, texts.heap)
    return None


def _numbers(column: Sequence[Any] | np.ndarray[Any, Any]) -> Keys | None:
    """The keys of whole numbers, or None where something else is among them."""
    found = _whole(column)
    return None if found is None else Keys(heap.mix(found[0]), found[1])


def _whole(
    column: Sequence[Any] | np.ndarray[Any, Any],
) -> tuple[heap.Ints, np.ndarray[tuple[int], np.dtype[np.bool_]] | None] | None:
    """Whole numbers and which of them can be keys, or None where something else is among them."""
    try:
        numbers = np.asarray(column)
    except (ValueError, OverflowError):
        return None
    if numbers.dtype == np.int64 and numbers.ndim == 1:
        return np.ascontiguousarray(numbers), None
    if any(type(item) is not int for item in column if item is not None) or not len(numbers):
        return None
    # Whole numbers that no int64 holds are no key of any row.
    inside = [item is not None and -(2**63) <= item < 2**63 for item in column]
    fitting = np.array([item if fits else 0 for item, fits in zip(column, inside, strict=True)], np.int64)
    return fitting, np.array(inside)


def _texts(column: Sequence[Any]) -> Keys | None:
    """Texts, or None where something else is among them."""
    valid = None
    try:
        joined = "".join(column)
    except TypeError:
        if any(item is not None and type(item) is not str for item in column):
            return None
        valid = np.array([item is not None for item in column], bool)
        column = ["" if item is None else item for item in column]
        joined = "".join(column)
    raw = joined.encode()
    parts: Sequence[str | bytes] = column if len(raw) == len(joined) else [item.encode() for item in column]
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    starts = heap.offsets_of(lengths)[:-1]
    packed = np.frombuffer(raw, np.uint8)
    return Keys(heap.hashes(packed, starts, lengths), valid, starts, lengths, packed)
