"""Entities one by one as plain Python values: for a few of them quicker than columns, whose cost is by the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

from boxplat.features.rows import nested, values
from boxplat.features.rows.kinds import Kind
from boxplat.features.rows.layout import Layout
from boxplat.features.rows.rows import NULL_VALUE, PRESENT, Rows

_PRESENT = bytes([PRESENT])


class _Place(NamedTuple):
    """Where a field is in a record: its null bit, its number, or the start and length of its bytes."""

    byte: int
    bit: int
    at: int
    length: int
    decode: Callable[[bytes], Any] | None


def entity(rows: Rows, number: int) -> tuple[list[Any], bytes]:
    """One entity's values in the order of `rows.fields`, and their statuses, a byte each.

    Values are as they are stored: UNIX_TIMESTAMP as int microseconds, DECIMAL, UUID and JSON as text, sets as lists.
    """
    status, record, heap = rows.row(number)
    if status != PRESENT:
        return [None] * len(rows.fields), bytes([status]) * len(rows.fields)
    nulls, places = _places(rows.layout, rows.fields)
    bits = record[nulls]
    found: list[Any] = []
    statuses = bytearray(_PRESENT * len(places))
    for index, (byte, bit, at, length, decode) in enumerate(places):
        if bits[byte] & bit:
            found.append(None)
            statuses[index] = NULL_VALUE
        elif decode is None:
            found.append(record[at])
        else:
            start = record[at]
            found.append(decode(heap[start : start + record[length]].tobytes()))
    return found, bytes(statuses)


@lru_cache(maxsize=256)
def _places(layout: Layout, fields: tuple[str, ...]) -> tuple[int, tuple[_Place, ...]]:
    order, places = layout.order, []
    for field in fields:
        at = layout.position[field]
        kind = layout.kinds[at]
        fixed = kind.family == "fixed"
        start, length = (order[str(at)], 0) if fixed else (order[f"{at}s"], order[f"{at}n"])
        places.append(_Place(at >> 3, 1 << (at & 7), start, length, None if fixed else _decoder(kind)))
    return order["nulls"], tuple(places)


def _decoder(kind: Kind) -> Callable[[bytes], Any]:
    if kind.family == "text":
        return bytes.decode
    if kind.family == "binary":
        return bytes
    if kind.family == "texts":
        return values.unpack
    return partial(nested.unpack_item, replace(kind, is_set=False))
