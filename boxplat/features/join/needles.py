"""Entity rows in the order in which a search goes through sorted history rows fastest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Needles:
    """The entity rows that can match, by key and then time.

    Attributes:
        times: of all entity rows, sorted, int64 [N].
        keys: codes, ascending, int64 [M].
        ranks: each one's place in `times`, [M].
        places: each one's entity row, [M].
    """

    times: np.ndarray
    keys: np.ndarray
    ranks: np.ndarray
    places: np.ndarray

    def some(self, chosen: np.ndarray | slice) -> Needles:
        """Those at these places (a mask, places or a slice of [M])."""
        return Needles(self.times, self.keys[chosen], self.ranks[chosen], self.places[chosen])


@dataclass(frozen=True)
class Clock:
    """The times of the entity rows, sorted once for all views.

    Attributes:
        times: ascending, int64 [N].
        order: the entity row of each, [N].
    """

    times: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, times: np.ndarray, timed: np.ndarray | None) -> Clock:
        """Only the rows that have a time."""
        if timed is None:
            order = np.argsort(times)
        else:
            there = np.flatnonzero(timed)
            order = there[np.argsort(times[there])]
        return cls(times[order], order)

    def needles(self, codes: np.ndarray) -> Needles:
        """The rows with a key (`codes` of all entity rows; -1 for none)."""
        keyed = codes[self.order]
        bits = max(len(keyed), 1).bit_length()
        packed = (keyed << bits) | np.arange(len(keyed))
        if len(keyed) and keyed.min() < 0:
            packed = packed[keyed >= 0]
        packed.sort()
        ranks = packed & ((1 << bits) - 1)
        packed >>= bits
        return Needles(self.times, packed, ranks, self.order[ranks])
