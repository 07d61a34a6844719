"""The keys of a few entities one by one in plain Python: for so few quicker than columns, the same keys bit by bit."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from boxplat.features.rows import heap, values
from boxplat.features.rows.codecs import Column
from boxplat.features.rows.keys import Key
from boxplat.features.rows.layout import Layout

# Beyond so many entities columns are quicker: with a whole number as their key, and with any other key.
FEW, FEW_HASHED = 16, 32
_DOUBLE = struct.Struct("<d")


def few_keys(layout: Layout, columns: Mapping[str, Column]) -> list[Key | None] | None:
    """The keys of up to `FEW` or `FEW_HASHED` entities, None where a key is null or cannot be that of any row; None for
    everything that takes `keys.encode_keys`: more entities, other types, and all that is refused."""
    try:
        if layout.integer_key:
            name, type_ = layout.keys[0]
            return _whole_keys(type_, _items(columns[name], FEW))
        return [None if raw is None else Key(heap.hash_one(raw), raw) for raw in _raws(layout, columns)]
    except (TypeError, KeyError):
        return None


def _whole_keys(type_: str, items: Sequence[Any]) -> list[Key | None]:
    found: list[Key | None] = []
    for item in items:
        number = _number(type_, item)
        found.append(None if number is None else Key(heap.mix_one(number)))
    return found


def _raws(layout: Layout, columns: Mapping[str, Column]) -> Sequence[bytes | None]:
    """The key bytes of each entity, as `keys.bytes_keys` lays them out."""
    if not layout.keys:
        count = len(next(iter(columns.values()))) if columns else 1
        if count > FEW_HASHED:
            raise TypeError
        return [b""] * count
    parts = [[_bytes(type_, item) for item in _items(columns[name], FEW_HASHED)] for name, type_ in layout.keys]
    if len(parts) == 1:
        return parts[0]
    if any(len(part) != len(parts[0]) for part in parts):
        raise TypeError
    return [_joined(entity) for entity in zip(*parts, strict=True)]


def _joined(parts: Sequence[bytes | None]) -> bytes | None:
    pieces: list[bytes] = []
    for part in parts:
        if part is None:
            return None
        pieces += (len(part).to_bytes(4, "little"), part)
    return b"".join(pieces)


def _items(column: Column, most: int) -> Sequence[Any]:
    if isinstance(column, list | tuple):
        if 0 < len(column) <= most:
            return column
    elif isinstance(column, np.ndarray) and column.dtype == np.int64 and column.ndim == 1 and 0 < len(column) <= most:
        return list(column.tolist())
    raise TypeError


def _number(type_: str, item: Any) -> int | None:
    """A whole number, None where it is null or no int64 holds it; TypeError for what needs to be converted."""
    if type_ == "INT64" or type_ == "INT32":
        if type(item) is int:
            return item if -(2**63) <= item < 2**63 else None
        if type(item) is np.int64:
            return int(item)
    if item is None:
        return None
    if type_ == "BOOL" and type(item) is bool:
        return int(item)
    if type_ == "UNIX_TIMESTAMP" and type(item) is datetime and item.tzinfo is UTC:
        return values.microseconds(item)
    raise TypeError


def _bytes(type_: str, item: Any) -> bytes | None:
    """One key's bytes; TypeError for what needs to be converted."""
    if type_ == "STRING" and type(item) is str:
        return item.encode()
    if type_ == "BYTES" and type(item) is bytes:
        return item
    if item is None and type_ in _PLAIN:
        return None
    if type_ in ("DOUBLE", "FLOAT"):
        if type(item) is not float or item != item:
            raise TypeError
        return _DOUBLE.pack(item + 0.0)
    number = _number(type_, item)
    return None if number is None else number.to_bytes(8, "little", signed=True)


_PLAIN = ("STRING", "BYTES", "DOUBLE", "FLOAT", "INT64", "INT32", "BOOL", "UNIX_TIMESTAMP")
