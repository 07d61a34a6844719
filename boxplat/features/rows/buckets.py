"""Finding a 64-bit hash among sorted ones in about one step: where the hashes of each bucket of upper bits begin."""

from __future__ import annotations

from typing import Any

import numpy as np

from boxplat.features.rows.heap import Hashes, Ints

Starts = np.ndarray[tuple[int], np.dtype[np.uint32]]
# Buckets for each hash, on average: every second bucket is empty or more.
_ROOM = 2
# Hashes that are counted at once: their numbers take eight times the memory of what is made of them.
_CHUNK = 65_536


def bits_for(count: int) -> int:
    """The number of upper bits that make the buckets of `count` hashes."""
    return max(3, (count * _ROOM - 1).bit_length())


def starts_of(sort: Hashes) -> Starts:
    """uint32 [2 ** bits + 1]: the position of the first hash of each bucket, and their number."""
    bits = bits_for(len(sort))
    starts = np.zeros((1 << bits) + 1, np.uint32)
    for low in range(0, len(sort), _CHUNK):
        places = (sort[low : low + _CHUNK] >> np.uint64(64 - bits)).view(np.int64)
        first = int(places[0])
        counts = np.bincount(places - first)
        starts[first + 1 : first + 1 + len(counts)] += counts.astype(np.uint32)
    return np.cumsum(starts, dtype=np.uint32, out=starts)


def find(sort: Hashes, starts: Starts, wanted: Hashes) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Where the first of equal hashes is (int64 [N]), and whether it is there at all (bool [N]).

    Args:
        sort: ascending, not empty; starts: of it.
    """
    shift = np.uint64(65 - len(starts).bit_length())
    bucket = (wanted >> shift).view(np.int64)
    at: Any = starts.take(bucket).astype(np.int64)
    found = sort.take(at, mode="clip") == wanted
    live = np.flatnonzero(~found)
    if len(live):
        end = starts.take(bucket[live] + 1)
        live = live[at[live] + 1 < end]
        while len(live):
            at[live] += 1
            here = at[live]
            hit = sort.take(here) == wanted[live]
            found[live[hit]] = True
            live = live[~hit & (here + 1 < starts.take(bucket[live] + 1))]
    return at, found
