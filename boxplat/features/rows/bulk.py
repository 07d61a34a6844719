"""Many rows into one segment file: sources merged under the event-time guard, records made a slice at a time.

The records of all rows are never in memory together: a slice is gathered from columns or from older records when it is
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from boxplat.features.rows import block, codecs, heap, segment
from boxplat.features.rows.block import Index
from boxplat.features.rows.incoming import heads
from boxplat.features.rows.keys import Keys
from boxplat.features.rows.layout import NO_CREATED, Layout, Records
from boxplat.features.rows.snapshot import some

SLICE = 16_384


class Rows(Protocol):
    """N rows of one source.

    Attributes:
        layout: of the records that it gives.
        sort: uint64 [N], see `Keys`.
    """

    layout: Layout
    sort: heap.Hashes

    def times(self, rows: Index) -> tuple[heap.Ints, heap.Ints]:
        """Event and created times."""

    def keys(self, rows: Index) -> Keys: ...

    def records(self, rows: Index, start: int) -> Records:
        """Records in the view's layout, whose values lie from byte `start` of the heap."""

    def heaps(self) -> Sequence[heap.Bytes]:
        """The parts of the heap, one after the other."""


@dataclass
class Stored:
    """Rows that have records already, perhaps of an older layout; see `Block`."""

    layout: Layout
    block: block.Block

    def __post_init__(self) -> None:
        self.sort = self.block.sort

    def times(self, rows: Index) -> tuple[heap.Ints, heap.Ints]:
        return self.block.records["event"][rows], self.block.records["created"][rows]

    def keys(self, rows: Index) -> Keys:
        return some(self.block.as_keys(), rows)

    def records(self, rows: Index, start: int) -> Records:
        words = self.block.records.view(np.uint64).reshape(len(self.block), -1)
        taken = np.take(words, rows, axis=0).reshape(-1).view(self.block.layout.dtype)
        found = self.layout.adapt(taken, self.block.layout)
        for name, _ in self.layout.spans if start else ():
            found[name] += start
        return found

    def heaps(self) -> Sequence[heap.Bytes]:
        return [self.block.heap]

    def rest(self) -> None:
        if isinstance(self.block, segment.Segment):
            self.block.rest()


@dataclass
class Fresh:
    """Rows as encoded columns; fields without a column are null."""

    layout: Layout
    found: Keys
    event_us: heap.Ints
    created_us: heap.Ints | None
    columns: dict[int, codecs.Encoded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sort = self.found.sort

    def fill(self, view: str, columns: Iterable[tuple[str, codecs.Column]]) -> None:
        """Take in columns, one at a time.

        Raises:
            BoxError: an unknown field, a column of another length, or a value that does not fit.
        """
        for name, column in columns:
            at = block.position(self.layout, view, name)
            encoded = codecs.encode(self.layout.kinds[at], column, f"the field {name!r} of the view {view!r}")
            block.check_length(len(self.sort), encoded, f"{view}:{name}")
            self.columns[at] = encoded

    def times(self, rows: Index) -> tuple[heap.Ints, heap.Ints]:
        created = np.full(len(rows), NO_CREATED) if self.created_us is None else self.created_us[rows]
        return self.event_us[rows], created

    def keys(self, rows: Index) -> Keys:
        return some(self.found, rows)

    def records(self, rows: Index, start: int) -> Records:
        found = np.zeros(len(rows), self.layout.dtype)
        found["event"], found["created"] = self.times(rows)
        found["nulls"] = 255
        at = _run(rows)
        if self.found.starts is not None and self.found.lengths is not None:
            found["ks"], found["kn"] = self.found.starts[at] + start, self.found.lengths[at]
        for (number, column), low in zip(self.columns.items(), self._starts(), strict=True):
            if column.numbers is not None:
                found[str(number)] = column.numbers[at]
            else:
                found[f"{number}s"], found[f"{number}n"] = column.starts[at] + (start + low), column.lengths[at]
            given = True if column.valid is None else column.valid[at]
            found["nulls"][:, number >> 3] ^= np.where(given, np.uint8(1 << (number & 7)), np.uint8(0))
        return found

    def heaps(self) -> Sequence[heap.Bytes]:
        own = [] if self.found.heap is None else [self.found.heap]
        return [*own, *(column.heap for column in self.columns.values())]

    def _starts(self) -> Iterator[int]:
        """Where each column's values begin in the heap."""
        start = 0 if self.found.heap is None else len(self.found.heap)
        for column in self.columns.values():
            yield start
            start += len(column.heap)


@dataclass
class Part:
    """Some rows of a source, in the order of their sort keys, each key once."""

    source: Rows
    rows: Index

    def __len__(self) -> int:
        return len(self.rows)

    def drop(self, lost: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        if lost.any():
            self.rows = self.rows[~lost]


def fresh(
    layout: Layout,
    view: str,
    keys: Mapping[str, codecs.Column],
    event_us: codecs.Column,
    created_us: codecs.Column | None,
) -> Fresh:
    """Rows whose columns are still to come, see `Fresh.fill`.

    Raises:
        BoxError: a null event time, columns of unequal length, or a key of another type.
    """
    return Fresh(layout, *heads(layout, view, keys, event_us, created_us))


def ordered(rows: Rows, valid: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None) -> tuple[Index, bool]:
    """Rows whose key is no null in the order of their sort keys, and whether two have the same."""
    order = heap.order_of(rows.sort)
    if valid is not None:
        order = order[valid[order]]
    sort = rows.sort[order]
    return order, bool((sort[1:] == sort[:-1]).any())


def newest(rows: Rows, order: Index) -> Part:
    """The newest row of every key among some."""
    order = np.sort(order)
    whole = block.Block(rows.layout, rows.sort[order], rows.records(order, 0), _joined(rows.heaps()))
    kept = block.newest(whole)
    return Part(Stored(kept.layout, kept), np.arange(len(kept)))


def _joined(parts: Sequence[heap.Bytes]) -> heap.Bytes:
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.uint8)])


def guard(parts: Sequence[Part]) -> None:
    """Leave every key in the one part where it is newest; of equal times in the last one. All but the last part hold
    sorted blocks: they are searched."""
    for later, new in enumerate(parts):
        for old in parts[:later]:
            if len(old) and len(new):
                _compare(old, new)


def _compare(old: Part, new: Part) -> None:
    assert isinstance(old.source, Stored)
    at = segment.find(old.source.block, new.source.keys(new.rows))
    place = np.full(len(old.source.sort), -1)
    place[old.rows] = np.arange(len(old))
    hits = np.flatnonzero(at >= 0)
    hits = hits[place[at[hits]] >= 0]
    event, created = new.source.times(new.rows[hits])
    was, was_created = old.source.times(at[hits])
    wins = (event > was) | ((event == was) & (created >= was_created))
    lost, beaten = np.zeros(len(new), bool), np.zeros(len(old), bool)
    lost[hits[~wins]] = True
    beaten[place[at[hits[wins]]]] = True
    old.drop(beaten)
    new.drop(lost)


def rest(parts: Iterable[Part]) -> None:
    """Let go of the memory that mapped files were read into."""
    for part in parts:
        if isinstance(part.source, Stored):
            part.source.rest()


def write(path: Path, layout: Layout, parts: Sequence[Part]) -> None:
    """Parts with different keys as one segment file.

    Raises:
        BoxError: the disk is full or cannot be written.
    """
    parts = [_trimmed(part) for part in parts if len(part)]
    which = np.repeat(np.arange(len(parts), dtype=np.uint8), [len(part) for part in parts])
    rows = _chained([part.rows for part in parts], np.int64)
    sort = _chained([part.source.sort[_run(part.rows)] for part in parts], np.uint64)
    if len(parts) > 1:
        # stable: sorts by merging runs, and these are few
        order = np.argsort(sort, kind="stable")
        sort, which, rows = sort[order], which[order], rows[order]
    heaps = [list(part.source.heaps()) for part in parts]
    starts = np.cumsum([0, *(sum(map(len, parts)) for parts in heaps)])
    newest = max(map(_newest_us, parts), default=None)

    def slices() -> Iterator[Records]:
        for low in range(0, len(rows), SLICE):
            high = min(low + SLICE, len(rows))
            yield _slice(layout, parts, which[low:high], rows[low:high], starts)
            if low % (64 * SLICE) == 0:
                rest(parts)

    segment.stream(path, layout, sort, slices(), [raw for group in heaps for raw in group], newest)


def _chained(arrays: Sequence[Any], kind: type[np.generic]) -> Any:
    """All values; those of a single array are not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([*arrays, np.empty(0, kind)])


def _run(rows: Index) -> Index | slice:
    """Neighbouring rows as a slice, which NumPy copies faster than it gathers."""
    low, high = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
    if high - low == len(rows) - 1 and bool((rows[1:] > rows[:-1]).all()):
        return slice(low, high + 1)
    return rows


def _newest_us(part: Part) -> int:
    """The newest event time of a part that is not empty."""
    pieces = (part.rows[low : low + SLICE] for low in range(0, len(part), SLICE))
    return max(int(part.source.times(piece)[0].max()) for piece in pieces)


def _slice(layout: Layout, parts: Sequence[Part], which: Any, rows: Index, starts: Any) -> Records:
    if len(parts) == 1:
        return parts[0].source.records(rows, 0)
    found = np.empty(len(rows), layout.dtype)
    for number, part in enumerate(parts):
        mine = which == number
        if mine.any():
            found[mine] = part.source.records(rows[mine], int(starts[number]))
    return found


def _trimmed(part: Part) -> Part:
    """Without the values of rows that are gone, once these are most of the heap."""
    if not isinstance(part.source, Stored):
        return part
    whole = part.source.block
    if 2 * block.used(whole, part.rows) >= len(whole.heap):
        return part
    kept = block.compact(whole.take(part.rows))
    return Part(Stored(part.source.layout, kept), np.arange(len(kept)))
