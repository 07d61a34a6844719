"""Rows of one view in memory, in the form of a segment: sort keys, records and heap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.rows import codecs, heap
from boxplat.features.rows.heap import Bytes, Hashes, Ints
from boxplat.features.rows.keys import Keys
from boxplat.features.rows.layout import NO_CREATED, Layout, Records

Index = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass
class Block:
    """N rows.

    Attributes:
        layout: of `records`.
        sort: uint64 [N], see `Keys`.
        records: [N] of `layout.dtype`.
        heap: uint8, where the records' starts point to.
    """

    layout: Layout
    sort: Hashes
    records: Records
    heap: Bytes

    def __len__(self) -> int:
        return len(self.sort)

    def take(self, rows: Index | slice) -> Block:
        """Some rows over the same heap."""
        return Block(self.layout, self.sort[rows], self.records[rows], self.heap)

    def key_bytes(self, rows: Index | slice = slice(None)) -> tuple[Ints, Ints]:
        """Where the key bytes of some rows are in the heap: starts and lengths."""
        return self.records["ks"][rows], self.records["kn"][rows].astype(np.int64)

    def as_keys(self) -> Keys:
        """The rows' keys, to look them up elsewhere."""
        if self.layout.integer_key:
            return Keys(self.sort)
        starts, lengths = self.key_bytes()
        return Keys(self.sort, None, starts, lengths, self.heap)


def empty(layout: Layout) -> Block:
    """No rows."""
    return Block(layout, np.empty(0, np.uint64), np.empty(0, layout.dtype), np.empty(0, np.uint8))


def build(
    layout: Layout,
    view: str,
    keys: Keys,
    event_us: heap.Ints,
    created_us: heap.Ints | None,
    columns: Iterable[tuple[str, codecs.Column]],
) -> Block:
    """Rows from columns, which are taken one at a time. Fields without a column are null; rows keep their order.

    Raises:
        BoxError: an unknown field, a column of another length, or a value that does not fit.
    """
    count = len(keys.sort)
    records = np.zeros(count, layout.dtype)
    records["event"] = event_us
    records["created"] = NO_CREATED if created_us is None else created_us
    records["nulls"] = 255
    heaps: list[heap.Bytes] = []
    end = 0
    if keys.heap is not None:
        records["ks"], records["kn"] = keys.starts, keys.lengths
        heaps, end = [keys.heap], len(keys.heap)
    for name, column in columns:
        at = position(layout, view, name)
        encoded = codecs.encode(layout.kinds[at], column, f"the field {name!r} of the view {view!r}")
        end += _place(records, at, encoded, end, f"{view}:{name}")
        heaps.append(encoded.heap)
    return Block(layout, keys.sort, records, heaps[0] if len(heaps) == 1 else np.concatenate([*heaps, _NOTHING]))


_NOTHING = np.empty(0, np.uint8)


def position(layout: Layout, view: str, name: str) -> int:
    """A field's place in the layout. Raises BoxError when there is none."""
    if name not in layout.position:
        raise BoxError(
            f"the view {view!r} has no field {name!r}",
            why=f"its fields: {', '.join(layout.position)}",
            fix="box features apply",
            code=ExitCode.USAGE,
        )
    return layout.position[name]


def check_length(rows: int, encoded: codecs.Encoded, where: str) -> None:
    """Raises BoxError for a column of another length than the others."""
    given = len(encoded.starts if encoded.numbers is None else encoded.numbers)
    if given != rows:
        raise BoxError(
            f"{where} has {given} values for {rows} rows",
            why="every column of a write must be as long as its keys",
            fix="give columns of one table",
            code=ExitCode.USAGE,
        )


def _place(records: Records, at: int, encoded: codecs.Encoded, end: int, where: str) -> int:
    """Put a column into the records; how many bytes of heap it brings."""
    check_length(len(records), encoded, where)
    if encoded.numbers is not None:
        records[str(at)] = encoded.numbers
    else:
        records[f"{at}s"] = encoded.starts + end
        records[f"{at}n"] = encoded.lengths
    valid = np.uint8(255 ^ (1 << (at & 7)))
    if encoded.valid is None:
        records["nulls"][:, at >> 3] &= valid
    else:
        records["nulls"][encoded.valid, at >> 3] &= valid
    return len(encoded.heap)


def concat(layout: Layout, blocks: Sequence[Block]) -> Block:
    """Rows of several blocks in one, in this order; older layouts are adapted."""
    blocks = [block for block in blocks if len(block)]
    if not blocks:
        return empty(layout)
    if len(blocks) == 1 and blocks[0].layout == layout:
        return blocks[0]
    records = np.empty(sum(map(len, blocks)), layout.dtype)
    low = end = 0
    for block in blocks:
        part = records[low : low + len(block)]
        part[:] = layout.adapt(block.records, block.layout)
        for start, _ in layout.spans if end else ():
            part[start] += end
        low, end = low + len(block), end + len(block.heap)
    return Block(
        layout,
        np.concatenate([block.sort for block in blocks]),
        records,
        np.concatenate([block.heap for block in blocks]),
    )


def newest(block: Block) -> Block:
    """One row for each key, sorted: the newest event, then the latest created, then the later row."""
    order = np.lexsort((block.records["created"], block.records["event"], block.sort))
    ordered = block.sort[order]
    runs = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(runs):
        return block.take(order)
    if block.layout.integer_key:
        last = np.append(ordered[1:] != ordered[:-1], True)
        return block.take(order[last])
    return block.take(order[_last_of_each_key(block, order, runs)])


def _last_of_each_key(block: Block, order: Index, runs: Index) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Of rows with equal hashes, in time order, those that no later row of the same key follows."""
    keep = np.ones(len(order), bool)
    starts, lengths = block.key_bytes()
    seen: dict[bytes, int] = {}
    before = -2
    for at in np.unique(np.concatenate((runs, runs + 1))).tolist():
        if at != before + 1 or block.sort[order[at]] != block.sort[order[before]]:
            seen = {}
        row = order[at]
        key = block.heap[starts[row] : starts[row] + lengths[row]].tobytes()
        if key in seen:
            keep[seen[key]] = False
        seen[key], before = at, at
    return keep


def compact(block: Block) -> Block:
    """The same rows over a heap that holds nothing else."""
    records, ends, heaps = block.records.copy(), 0, [_NOTHING]
    for start, length in block.layout.spans:
        lengths = records[length].astype(np.int64)
        heaps.append(heap.gather(block.heap, records[start], lengths))
        records[start] = heap.offsets_of(lengths)[:-1] + ends
        ends += len(heaps[-1])
    return Block(block.layout, block.sort, records, np.concatenate(heaps))


def used(block: Block, rows: Index | slice = slice(None)) -> int:
    """How many bytes of the heap some of its rows point to."""
    return sum(int(block.records[length][rows].sum(dtype=np.int64)) for _, length in block.layout.spans)
