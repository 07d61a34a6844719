"""The newest row of a key at a time, by binary search in sorted whole numbers.

A row's key code and its place in time order are packed into one int64; sorting those values (not an index) is the
cheapest sort that NumPy has, and gives rows by key and then time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boxplat.features.join.needles import Needles

# Steps through rows of one key and time, one at a time for all needles, before they are ranked instead.
_STEPS = 32
# For a row without a creation time: it loses against every row that has one.
NEVER = -(2**63)


@dataclass(frozen=True)
class Rows:
    """History rows.

    Attributes:
        keys: codes, int64 [n]; a row whose code is not below `count` matches nothing.
        times: from when on each row exists, microseconds, int64 [n].
    """

    keys: np.ndarray
    count: int
    times: np.ndarray


@dataclass(frozen=True)
class Index:
    """Rows of one history by key and time.

    Attributes:
        packed: ascending: key code << bits | place in time order.
        times: ascending, by place.
        order: the row of each place; None where rows are in time order already.
    """

    packed: np.ndarray
    bits: int
    times: np.ndarray
    order: np.ndarray | None

    @classmethod
    def of(cls, rows: Rows) -> Index:
        keys, times, order = rows.keys, rows.times, None
        if not (times[1:] >= times[:-1]).all():
            order = np.argsort(times)
            keys, times = keys[order], times[order]
        bits = max(len(keys), 1).bit_length()
        packed = keys << bits
        packed |= np.arange(len(keys))
        packed.sort()
        end = int(np.searchsorted(packed, rows.count << bits))
        return cls(packed[:end], bits, times, order)

    def place(self, at: np.ndarray) -> np.ndarray:
        """Places in time order of positions in `packed`."""
        found: np.ndarray = self.packed[at] & ((1 << self.bits) - 1)
        return found

    def row(self, places: np.ndarray) -> np.ndarray:
        """Rows of places in time order."""
        return places if self.order is None else self.order[places]

    def find(self, needles: Needles) -> tuple[np.ndarray, np.ndarray]:
        """The last position in `packed` of each needle's key at or before its time, and whether there is one."""
        if not len(self.packed):
            return np.zeros(len(needles.keys), np.int64), np.zeros(len(needles.keys), bool)
        latest = np.searchsorted(self.times, needles.times, "right")[needles.ranks]
        wanted = needles.keys << self.bits
        wanted += latest
        at = np.searchsorted(self.packed, wanted) - 1
        there = at >= 0
        np.maximum(at, 0, out=at)
        there &= (self.packed[at] >> self.bits) == needles.keys
        return at, there


def newest(
    rows: Rows, needles: Needles, created: Callable[[np.ndarray], np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The newest row for each needle: of rows with equal times the last created one, of those the last one.

    Args:
        created: gives rows' creation times, NEVER for none; called only for rows whose equal times make it needed.

    Returns:
        Rows, int64 [M], and whether there is one, bool [M].
    """
    index = Index.of(rows)
    at, found = index.find(needles)
    places = index.place(at) if len(index.packed) else at
    if (created is None and index.order is None) or not len(index.packed):
        return places, found
    tied = _tied(index, at, places, found)
    result = index.row(places)
    if len(tied):
        ends, back = np.unique(at[tied], return_inverse=True)
        best = _last_created(index, ends, created)
        if best is None:
            stamps = None if created is None else created(np.arange(len(rows.keys)))
            return ranked(rows, rows.times, stamps, needles)
        result[tied] = best[back]
    return result, found


def _tied(index: Index, at: np.ndarray, places: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which of these positions in `packed` follow a row of the same key and time."""
    # Few bytes for each row, so that the look-ups here and there stay within the processor's cache.
    repeated = np.zeros(len(index.times), bool)
    np.equal(index.times[1:], index.times[:-1], out=repeated[1:])
    near = np.flatnonzero(repeated[places] & found & (at > 0))
    tied: np.ndarray = near[_same(index, at[near], at[near] - 1)]
    return tied


def _same(index: Index, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether positions in `packed` are of the same key and time."""
    left, right = index.packed[one], index.packed[other]
    same: np.ndarray = (left ^ right) < (1 << index.bits)
    low = (1 << index.bits) - 1
    same[same] = index.times[left[same] & low] == index.times[right[same] & low]
    return same


def _last_created(
    index: Index, ends: np.ndarray, created: Callable[[np.ndarray], np.ndarray] | None
) -> np.ndarray | None:
    """The best row among those of the same key and time that end at these positions; None if they are too many."""
    best = index.row(index.place(ends))
    live, at = np.arange(len(ends)), ends
    for _ in range(_STEPS):
        more = at > 0
        more[more] = _same(index, at[more], at[more] - 1)
        live, at = live[more], at[more] - 1
        if not len(live):
            return best
        row, held = index.row(index.place(at)), best[live]
        wins = row > held
        if created is not None:
            stamps, others = created(row), created(held)
            wins = (stamps > others) | ((stamps == others) & wins)
        best[live[wins]] = row[wins]
    return None


def ranked(
    rows: Rows, times: np.ndarray, created: np.ndarray | None, needles: Needles
) -> tuple[np.ndarray, np.ndarray]:
    """As `newest`, where the time from which a row exists is not its event time, or where very many times are equal.

    A row exists from `rows.times` on; among those that exist, the greatest by `times`, `created` and row wins: a
    running maximum of ranks in the order of existence.
    """
    rank_order = np.lexsort((times,) if created is None else (created, times))
    ranks = np.empty(len(rank_order), np.int64)
    ranks[rank_order] = np.arange(len(rank_order))
    index = Index.of(rows)
    at, found = index.find(needles)
    if not len(index.packed):
        return at, found
    keyed = index.packed >> index.bits << index.bits
    keyed |= ranks[index.row(index.place(np.arange(len(index.packed))))]
    best = np.maximum.accumulate(keyed)[at] & ((1 << index.bits) - 1)
    return rank_order[best], found
