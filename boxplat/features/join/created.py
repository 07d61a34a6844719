"""Creation times of history rows, read only for the row groups that hold rows in question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxplat.features.join.scan import Group, read
from boxplat.features.join.search import NEVER
from boxplat.features.join.source import Source
from boxplat.features.join.times import to_micros


class Created:
    """Called with rows, gives their creation times, int64; NEVER for none.

    Args:
        column: the source's column of creation times.
        members: the row groups.
        kept: places among the members' rows, by row; None: rows are places.
    """

    def __init__(self, source: Source, column: str, members: Sequence[Group], kept: np.ndarray | None) -> None:
        self._source, self._column, self._members, self._kept = source, column, members, kept
        self._starts = np.cumsum([0] + [member.rows for member in members])
        self._values = np.empty(self._starts[-1], np.int64)
        self._here = np.zeros(len(members), bool)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        places = rows if self._kept is None else self._kept[rows]
        if not self._here.all():
            wanted = np.zeros(len(self._members), bool)
            wanted[np.searchsorted(self._starts, places, "right") - 1] = True
            self._load(np.flatnonzero(wanted & ~self._here))
        found: np.ndarray = self._values[places]
        return found

    def _load(self, which: np.ndarray) -> None:
        if not len(which):
            return
        times, valid = to_micros(read(self._source, [self._members[index] for index in which], self._column))
        if valid is not None:
            times = np.where(valid, times, NEVER)
        first = 0
        for index in which:
            rows = self._members[index].rows
            self._values[self._starts[index] : self._starts[index] + rows] = times[first : first + rows]
            first += rows
        self._here[which] = True
