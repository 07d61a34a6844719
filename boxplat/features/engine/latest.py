"""The newest row of each key.

Of two rows with one key the later event time wins; then the later created time, where none loses; then the later
position. This order is total, so it does not matter in which pieces rows are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from boxplat.features.rows import heap

if TYPE_CHECKING:
    import pyarrow as pa

Int64s = np.ndarray[tuple[int], np.dtype[np.int64]]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
NO_CREATED = np.iinfo(np.int64).min  # sorts before every time


def winners(keys: Sequence[pa.Array], event_us: Int64s, created_us: Int64s | None) -> Int64s:
    """Positions of the newest rows, one for each different key; in the store's order where the key is a whole number.

    Args:
        keys: the key's columns, each of n values without nulls; none: all rows have one key.
        event_us: int64 [n], microseconds.
        created_us: int64 [n], `NO_CREATED` where there is none; None: no row has one.

    Returns:
        int64 [number of different keys].
    """
    codes = _codes(keys, len(event_us))
    if not _is_whole(keys) and bool((codes[1:] > codes[:-1]).all()):
        return np.arange(len(codes), dtype=np.int64)
    sort = heap.mix(codes)
    rows = heap.order_of(sort)
    sort = sort[rows]
    again = sort[1:] == sort[:-1]
    if not again.any():
        return rows
    keep = np.ones(len(rows), bool)
    keep[1:] &= ~again
    keep[:-1] &= ~again
    repeated = np.flatnonzero(~keep)
    keep[repeated] = _newest(rows[repeated], sort[repeated], event_us, created_us)
    return rows[keep]


def _newest(rows: Int64s, sort: heap.Hashes, event_us: Int64s, created_us: Int64s | None) -> Flags:
    """bool [n]: which of some rows, that are ordered by key and position, is the newest of its key."""
    start = np.flatnonzero(np.concatenate([[True], sort[1:] != sort[:-1]]))
    length = np.diff(start, append=len(rows))
    live = np.ones(len(rows), bool)
    for times in (event_us,) if created_us is None else (event_us, created_us):
        # What is out of the running already has no time that could win.
        known = np.where(live, times[rows], NO_CREATED)
        live &= known == np.repeat(np.maximum.reduceat(known, start), length)
    # The later position wins what is left.
    places = np.where(live, np.arange(len(rows)), -1)
    best = np.zeros(len(rows), bool)
    best[np.maximum.reduceat(places, start)] = True
    return best


def _codes(keys: Sequence[pa.Array], count: int) -> Int64s:
    """One integer for each row, equal where all keys are."""
    found: Int64s = np.zeros(count, np.int64)
    for index, key in enumerate(keys):
        if index == 0:
            found = _code(key)
        else:
            found = _dense(found) * (int(found.size) + 1) + _dense(_code(key))
    return found


def _is_whole(keys: Sequence[pa.Array]) -> bool:
    import pyarrow.types as types

    return len(keys) == 1 and bool(types.is_signed_integer(keys[0].type))


def _code(key: pa.Array) -> Int64s:
    import pyarrow as pa

    if _is_whole([key]):
        return np.asarray(key.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return np.asarray(key.dictionary_encode().indices.cast(pa.int64()).to_numpy(zero_copy_only=False))


def _dense(codes: Int64s) -> Int64s:
    """Codes below the number of rows, so that two of them can be packed into one."""
    if len(codes) and 0 <= int(codes.min()) and int(codes.max()) < len(codes):
        return codes
    return np.unique(codes, return_inverse=True)[1]
