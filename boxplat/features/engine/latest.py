"""The newest row of each key.

Of two rows with one key the later event time wins; then the later created time, where none loses; then the later
position. This order is total, so it does not matter in which pieces rows are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

Int64s = np.ndarray[tuple[int], np.dtype[np.int64]]
NO_CREATED = np.iinfo(np.int64).min  # sorts before every time


def winners(keys: Sequence[pa.Array], event_us: Int64s, created_us: Int64s | None) -> Int64s:
    """Positions of the newest rows, one for each different key, ordered by position when keys are unique.

    Args:
        keys: the key's columns, each of n values without nulls; none: all rows have one key.
        event_us: int64 [n], microseconds.
        created_us: int64 [n], `NO_CREATED` where there is none; None: no row has one.

    Returns:
        int64 [number of different keys].
    """
    count = len(event_us)
    if not count:
        return np.empty(0, np.int64)
    order = _by_key(_codes(keys, count), count)
    if order is None:
        return np.arange(count, dtype=np.int64)
    rows, length = order
    for times in (event_us,) if created_us is None else (event_us, created_us):
        if len(length) < len(rows):
            rows, length = _newest(rows, length, times[rows])
    return rows[np.cumsum(length) - 1]


def _newest(rows: Int64s, length: Int64s, times: Int64s) -> tuple[Int64s, Int64s]:
    """Of each run of rows with one key those that have its greatest time, in their order."""
    start = np.cumsum(length) - length
    keep = times == np.repeat(np.maximum.reduceat(times, start), length)
    return rows[keep], np.add.reduceat(keep, start, dtype=np.int64)


def _by_key(codes: Int64s, count: int) -> tuple[Int64s, Int64s] | None:
    """Positions ordered by (key, position), and each key's number of rows; None: keys are ascending and unique."""
    if count == 1 or bool((codes[1:] > codes[:-1]).all()):
        return None
    low = codes.min()
    bits = count.bit_length()
    if (int(codes.max()) - int(low)).bit_length() + bits < 63:
        # numpy sorts values several times faster than it finds their order
        packed = ((codes - low) << bits) | np.arange(count)
        packed.sort()
        rows, ordered = packed & ((1 << bits) - 1), packed >> bits
    else:
        rows = np.argsort(codes, kind="stable")
        ordered = codes[rows]
    start = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    return rows, np.diff(start, append=count)


def _codes(keys: Sequence[pa.Array], count: int) -> Int64s:
    """One integer for each row, equal where all keys are."""
    found: Int64s = np.zeros(count, np.int64)
    for index, key in enumerate(keys):
        if index == 0:
            found = _code(key)
        else:
            found = _dense(found) * (int(found.size) + 1) + _dense(_code(key))
    return found


def _code(key: pa.Array) -> Int64s:
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_signed_integer(key.type):
        return np.asarray(key.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return np.asarray(key.dictionary_encode().indices.cast(pa.int64()).to_numpy(zero_copy_only=False))


def _dense(codes: Int64s) -> Int64s:
    """Codes below the number of rows, so that two of them can be packed into one."""
    if len(codes) and 0 <= int(codes.min()) and int(codes.max()) < len(codes):
        return codes
    return np.unique(codes, return_inverse=True)[1]
