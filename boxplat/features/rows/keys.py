"""Entity keys: a single whole number as itself, anything else as bytes and their hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.rows import codecs, heap, nested
from boxplat.features.rows.keysets import KeySet
from boxplat.features.rows.kinds import Kind, kind_of
from boxplat.features.rows.layout import Layout

_ALL: Any = None
Places: TypeAlias = tuple[KeySet, heap.Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]


@dataclass
class Keys:
    """N entity keys.

    Attributes:
        sort: uint64 [N], rows are sorted by it: the value of an integer key put through `heap.mix`, so that different
            keys differ, or a hash of the key bytes.
        valid: bool [N], False where some part of the key is null; None when none is.
        starts, lengths, heap: the key bytes; None for integer keys.
        places: a key set in which they were looked up, where its first row with each hash is, and whether there is one.
    """

    sort: heap.Hashes
    valid: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
    starts: heap.Ints | None = None
    lengths: heap.Ints | None = None
    heap: heap.Bytes | None = None
    places: Places | None = None


class Key(NamedTuple):
    """One entity key: its place in the order of rows, and its bytes (None for integer keys)."""

    sort: int
    raw: bytes | None = None


def encode_keys(layout: Layout, columns: Mapping[str, codecs.Column], view: str) -> Keys:
    """The keys of N rows or requests.

    Args:
        layout: the view's record.
        columns: a column of N values for every key; a view without keys takes N from any column, else N = 1.
        view: its name, for errors.

    Raises:
        BoxError: a key is missing, of another length, or of another type.
    """
    if not layout.keys:
        count = len(next(iter(columns.values()))) if columns else 1
        return bytes_keys([], count)
    missing = [name for name, _ in layout.keys if name not in columns]
    if missing:
        raise _key_error(view, missing[0], f"given: {', '.join(columns) or 'none'}")
    if layout.integer_key:
        name, type_ = layout.keys[0]
        sort, valid = _integers(type_, columns[name], f"the key {name!r} of the view {view!r}")
        return Keys(heap.mix(sort), valid)
    parts = [_part(type_, columns[name], f"the key {name!r} of the view {view!r}") for name, type_ in layout.keys]
    count = len(columns[layout.keys[0][0]])
    if any(_length(part) != count for part in parts):
        raise _key_error(view, ", ".join(name for name, _ in layout.keys), "its columns differ in length")
    return bytes_keys(parts, count)


def _key_error(view: str, key: str, why: str) -> BoxError:
    return BoxError(
        f"the view {view!r} cannot be asked without its key {key!r}",
        why=why,
        fix="give one value for every key of every entity",
        code=ExitCode.USAGE,
    )


def _integers(type_: str, column: codecs.Column, where: str) -> tuple[heap.Ints, Any]:
    """int64 values and validity; a number that no int64 holds is no key, so it is never found."""
    if isinstance(column, np.ndarray) and column.dtype == np.int64 and type_ in ("INT32", "INT64"):
        return column, None
    wide = "INT64" if type_ == "INT32" else type_
    encoded = codecs.encode(Kind(wide, "fixed", wide), column, where)
    assert encoded.numbers is not None
    return encoded.numbers.astype(np.int64, copy=False), encoded.valid


def _part(type_: str, column: codecs.Column, where: str) -> codecs.Encoded:
    """One key column: numbers as 8 bytes, so that the width of the column does not matter; texts in canonical form."""
    kind = kind_of("INT64" if type_ == "INT32" else "DOUBLE" if type_ == "FLOAT" else type_)
    if kind.element == "DECIMAL" and kind.family == "text":
        column = [None if item is None else _canonical(item) for item in nested.pythons(column)]
    encoded = codecs.encode(kind, column, where)
    if encoded.numbers is not None:
        wide = encoded.numbers if encoded.numbers.dtype.itemsize == 8 else encoded.numbers.astype(np.int64)
        if wide.dtype.kind == "f":
            wide = wide + 0.0
        encoded.heap = np.ascontiguousarray(wide).view(np.uint8)
        encoded.starts = np.arange(len(wide), dtype=np.int64) * 8
        encoded.lengths = np.full(len(wide), 8, np.int64)
    return encoded


def _canonical(item: Any) -> Decimal:
    """Equal numbers as equal text: 1.0, 1.00 and 1 are one key."""
    number = Decimal(item).normalize()
    return number.quantize(Decimal(1)) if number == number.to_integral_value() and number.is_finite() else number


def _length(part: codecs.Encoded) -> int:
    return len(part.starts)


def bytes_keys(parts: list[codecs.Encoded], count: int) -> Keys:
    """The parts of each key one after the other; with several parts each is preceded by its length (uint32)."""
    valid = _ALL
    for part in parts:
        if part.valid is not None:
            valid = part.valid if valid is None else valid & part.valid
    if len(parts) == 1:
        starts, lengths, raw = parts[0].starts, parts[0].lengths, parts[0].heap
        return Keys(heap.hashes(raw, starts, lengths), valid, starts, lengths, raw)
    lengths = sum((part.lengths + 4 for part in parts), np.zeros(count, np.int64))
    offsets = heap.offsets_of(lengths)
    raw, at = np.empty(int(offsets[-1]), np.uint8), offsets[:-1].copy()
    for part in parts:
        raw[at[:, None] + np.arange(4)] = part.lengths.astype("<u4").view(np.uint8).reshape(-1, 4)
        heap.scatter(raw, at + 4, part.lengths, heap.gather(part.heap, part.starts, part.lengths))
        at += part.lengths + 4
    return Keys(heap.hashes(raw, offsets[:-1], lengths), valid, offsets[:-1], lengths, raw)
