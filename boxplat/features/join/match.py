"""Matching entity rows with rows in Parquet files: in one piece, or slice by slice from the newest rows backwards.

The best row of a whole history is the best of the best rows of its slices, so slices bound the memory; and an entity
row that has found a row newer than all that is left is done, so recent entity rows never look at old slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from boxplat.features.join.codes import Codes
from boxplat.features.join.created import Created
from boxplat.features.join.needles import Needles
from boxplat.features.join.scan import Group, bounds, groups, hold, numbers, read
from boxplat.features.join.search import NEVER, Rows, newest, ranked
from boxplat.features.join.source import Source
from boxplat.features.join.times import EARLIEST, LATEST, to_micros

# A row in flight: key, code, time, packed value, a mask, and the decoder's own copy.
BYTES_PER_ROW = 56
# Rows of which the rarely wanted ones are picked at a time.
_PIECE = 2**17


@dataclass(frozen=True)
class Search:
    """What is looked for in one source: by whom, with which keys, and by which rule."""

    source: Source
    codes: Codes
    needles: Needles
    span: tuple[int, int]
    cutoff: bool


@dataclass
class _Best:
    """The best row so far of each needle: its time, creation time and number; -1 for none."""

    times: np.ndarray
    created: np.ndarray
    rows: np.ndarray

    @classmethod
    def none(cls, count: int) -> _Best:
        return cls(np.full(count, NEVER), np.full(count, NEVER), np.full(count, -1, np.int64))

    def improve(self, at: np.ndarray, times: np.ndarray, created: np.ndarray, rows: np.ndarray) -> None:
        """Take rows for the needles `at` where they are better."""
        held, stamps = self.times[at], self.created[at]
        newer = (created > stamps) | ((created == stamps) & (rows > self.rows[at]))
        wins = (times > held) | ((times == held) & newer)
        target = at[wins]
        self.times[target], self.created[target], self.rows[target] = times[wins], created[wins], rows[wins]


def match(search: Search, rows: int, slice_rows: int | None) -> np.ndarray:
    """The number of the history row for each of `rows` entity rows, int64; -1 where there is none.

    Args:
        slice_rows: at most so many history rows at a time, newest first; None: all in one piece.
    """
    result = np.full(rows, -1, np.int64)
    chosen = groups(search.source, search.span)
    needles = _possible(search, chosen)
    if not len(needles.keys):
        return result
    hold(search.source, chosen)
    if slice_rows is None:
        local, times, _, found = _in_slice(search, chosen, needles, (EARLIEST, LATEST))
        best = np.where(found, numbers(chosen, local), -1)
    else:
        best, times = _backwards(search, needles, list(_slices(chosen, search.span, slice_rows)))
    ttl = search.source.history.reach
    if ttl:
        best[needles.times[needles.ranks] - times > ttl] = -1
    result[needles.places] = best
    return result


def _possible(search: Search, chosen: Sequence[Group]) -> Needles:
    """The needles whose key lies between the least and the greatest one of these row groups."""
    keys = search.source.history.keys
    span = bounds(chosen, keys[0][0]) if len(keys) == 1 else None
    codes = search.codes.between(*span) if span else None
    if codes is None:
        return search.needles if chosen else search.needles.some(slice(0))
    first, end = np.searchsorted(search.needles.keys, [codes[0], codes[1] + 1])
    return search.needles.some(slice(first, end))


def _backwards(search: Search, needles: Needles, slices: Sequence[list[Group]]) -> tuple[np.ndarray, np.ndarray]:
    ttl = search.source.history.reach
    best = _Best.none(len(needles.keys))
    moments = needles.times[needles.ranks]
    for members, shared in zip(slices, _shared([_span(members) for members in slices]), strict=True):
        low, high = _span(members)
        open_ = (best.times <= high) & (moments >= low)
        if ttl and high < LATEST:
            open_ &= moments - ttl <= high
        at = np.flatnonzero(open_)
        if not len(at):
            continue
        local, times, created, found = _in_slice(search, members, needles.some(at), shared)
        hit = np.flatnonzero(found)
        best.improve(at[hit], times[hit], created[hit], numbers(members, local[hit]))
    return best.rows, best.times


def _in_slice(
    search: Search, members: Sequence[Group], needles: Needles, shared: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per needle the best row within these row groups, its time and creation time, and whether there is one.

    Args:
        shared: creation times are wanted only of rows up to the first time or from the second one on.
    """
    source, count = search.source, sum(member.rows for member in members)
    wanted = _wanted(search.codes.count, needles, count)
    keys, times, kept = _loaded(search, members, None) if wanted is None else _picked(search, members, wanted)
    if not len(keys):
        nothing = np.zeros(len(needles.keys), np.int64)
        return nothing, nothing, nothing, nothing.astype(bool)
    column = source.history.created
    stamps = None if column is None else Created(source, column, members, kept)
    rows, found = _best(search, Rows(keys, search.codes.count, times), needles, stamps)
    moments = times[rows] if len(times) else rows
    created = np.full(len(rows), NEVER)
    if stamps is not None:
        tied = np.flatnonzero(found & ((moments <= shared[0]) | (moments >= shared[1])))
        created[tied] = stamps(rows[tied])
    return (rows if kept is None else kept[rows]), moments, created, found


def _best(search: Search, rows: Rows, needles: Needles, stamps: Created | None) -> tuple[np.ndarray, np.ndarray]:
    if not search.cutoff or stamps is None:
        return newest(rows, needles, stamps)
    created = stamps(np.arange(len(rows.keys)))
    keys = np.where(created == NEVER, rows.count, rows.keys)
    return ranked(Rows(keys, rows.count, np.maximum(rows.times, created)), rows.times, created, needles)


def _wanted(count: int, needles: Needles, rows: int) -> np.ndarray | None:
    """Which keys some needle has, bool [count + 1], where needles are few; None: as good as all."""
    if len(needles.keys) * 8 > rows or count > 2**27:
        return None
    wanted = np.zeros(count + 1, bool)
    wanted[needles.keys] = True
    return wanted


def _loaded(
    search: Search, members: Sequence[Group], wanted: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Keys, times and places of the rows whose key is wanted (None: of all rows, and no places).

    A row without a time has the key of none.
    """
    columns = [read(search.source, members, ours, True) for ours, _ in search.source.history.keys]
    keys = search.codes.encode(columns, sum(member.rows for member in members))
    kept = None
    if wanted is not None:
        kept = np.flatnonzero(wanted[keys])
        keys = keys[kept]
        if not len(keys):
            return keys, keys, kept
    times, valid = _moments(search.source, members, kept)
    if valid is not None:
        keys[~valid] = search.codes.count
    return keys, times, kept


def _picked(search: Search, members: Sequence[Group], wanted: np.ndarray) -> list[np.ndarray]:
    """As `_loaded`, few groups at a time, so that what is dropped never leaves the processor's cache."""
    found = []
    first = 0
    for piece in _pieces(members):
        keys, times, kept = _loaded(search, piece, wanted)
        assert kept is not None
        found.append((keys, times, kept + first))
        first += sum(member.rows for member in piece)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _pieces(members: Sequence[Group]) -> Iterator[list[Group]]:
    piece: list[Group] = []
    rows = 0
    for member in members:
        piece.append(member)
        rows += member.rows
        if rows >= _PIECE:
            yield piece
            piece, rows = [], 0
    if piece:
        yield piece


def _moments(source: Source, members: Sequence[Group], kept: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    times, valid = to_micros(read(source, members, source.history.timestamp))
    if kept is not None:
        times, valid = times[kept], None if valid is None else valid[kept]
    if len(times) and (times.max() >= LATEST or times.min() <= EARLIEST):
        finite = (times < LATEST) & (times > EARLIEST)
        valid = finite if valid is None else valid & finite
    return times, valid


def _span(members: Sequence[Group]) -> tuple[int, int]:
    lows = [EARLIEST if member.low is None else member.low for member in members]
    highs = [LATEST if member.high is None else member.high for member in members]
    return min(lows), max(highs)


def _shared(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Per slice up to which time later slices also have rows, and from which time on earlier ones do."""
    later, earlier = [EARLIEST], [LATEST]
    for _, high in spans[:0:-1]:
        later.append(max(later[-1], high))
    for low, _ in spans[:-1]:
        earlier.append(min(earlier[-1], low))
    return list(zip(reversed(later), earlier, strict=True))


def _slices(chosen: Sequence[Group], span: tuple[int, int], limit: int) -> Iterator[list[Group]]:
    """Row groups from the newest backwards: first those that entity rows lie in and as many again, then ever more."""
    left = sorted(chosen, key=lambda group: (LATEST if group.high is None else group.high, group.first), reverse=True)
    inside = sum(group.rows for group in left if group.high is None or group.high >= span[0])
    size = min(limit, 2 * inside)
    members: list[Group] = []
    for group in left:
        if members and sum(member.rows for member in members) + group.rows > size:
            yield sorted(members, key=lambda member: member.first)
            members, size = [], min(limit, 2 * size)
        members.append(group)
    if members:
        yield sorted(members, key=lambda member: member.first)
