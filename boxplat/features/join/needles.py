"""Entity rows in the order in which a search goes through sorted history rows fastest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Needles:
    """The entity rows that can match, by key and then time.

    Attributes:
        times: ascending, int64 [T]; those of all entity rows are among them.
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
        times: ascending, int64 [T]; each once where they repeat much.
        order: the entity row of each row by time, [N].
        ranks: each row's time among `times`, by time, [N]; None: they are 0 … N - 1.
    """

    times: np.ndarray
    order: np.ndarray
    ranks: np.ndarray | None

    @classmethod
    def of(cls, times: np.ndarray, timed: np.ndarray | None) -> Clock:
        """Only the rows that have a time."""
        if timed is None:
            order = np.argsort(times)
        else:
            there = np.flatnonzero(timed)
            order = there[np.argsort(times[there])]
        ascending = times[order]
        new = ascending[1:] != ascending[:-1]
        if 2 * np.count_nonzero(new) > len(new):
            return cls(ascending, order, None)
        first = np.concatenate([np.ones(min(len(order), 1), bool), new])
        return cls(ascending[first], order, np.cumsum(first) - 1)

    def needles(self, codes: np.ndarray) -> Needles:
        """The rows with a key (`codes` of all entity rows; -1 for none)."""
        keyed = codes[self.order]
        bits = max(len(keyed), 1).bit_length()
        packed = (keyed << bits) | np.arange(len(keyed))
        if len(keyed) and keyed.min() < 0:
            packed = packed[keyed >= 0]
        packed.sort()
        at = packed & ((1 << bits) - 1)
        packed >>= bits
        return Needles(self.times, packed, at if self.ranks is None else self.ranks[at], self.order[at])
