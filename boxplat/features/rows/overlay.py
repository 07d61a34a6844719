"""Pushed rows in memory: the newest of each key, found through a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np

from boxplat.features.rows import block, heap
from boxplat.features.rows.keys import Key, Keys
from boxplat.features.rows.layout import Layout, Records


class Overlay:
    """Rows of a push log, by key.

    Rows are only ever added, so that an answer may keep pointing at them while more are added. One thread adds at a
    time; any number may read meanwhile.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.count = 0
        self._slots: dict[Any, int] = {}
        self._sort = np.empty(16, np.uint64)
        self._end = 0
        self.records: Records = np.empty(16, layout.dtype)
        self.heap: heap.Bytes = np.empty(256, np.uint8)

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, rows: block.Block) -> None:
        """Take in the rows of one push, each key once. No writer pushes a row that is older than what is there, so the
        later one is the newer one."""
        first = self._append(rows, self.layout.adapt(rows.records, rows.layout))
        self._slots.update(zip(_names(rows.as_keys()), range(first, first + len(rows)), strict=True))

    def _append(self, rows: block.Block, records: Records) -> int:
        """Copy rows behind the others; the place of the first. Grown arrays are published before any slot."""
        first, end = self.count, self._end
        self._sort = _grown(self._sort, first, rows.sort)
        self.heap = _grown(self.heap, end, rows.heap)
        placed = records.copy()
        for start, _ in self.layout.spans:
            placed[start] += end
        self.records = _grown(self.records, first, placed)
        self.count, self._end = first + len(rows), end + len(rows.heap)
        return first

    def find(self, keys: Keys) -> block.Index:
        """int64 [N]: the slot of each key, -1 where it was not pushed."""
        get = self._slots.get
        found = np.array([get(name, -1) for name in _names(keys)], np.int64)
        if keys.valid is not None:
            found[~keys.valid] = -1
        return found

    def slot(self, key: Key) -> int:
        """The slot of one key, -1 where it was not pushed."""
        return self._slots.get(key.sort if key.raw is None else key.raw, -1)

    def block(self) -> block.Block:
        """The newest row of every key, sorted."""
        # A list at once: another thread may be adding.
        slots = np.array(list(self._slots.values()), np.int64)
        slots = slots[np.argsort(self._sort[slots], kind="stable")]
        return block.Block(self.layout, self._sort[slots], self.records[slots], self.heap[: self._end])


def _grown(array: Any, end: int, more: Any) -> Any:
    """`more` at `end`, in a larger copy when there is no room."""
    need = end + len(more)
    if need > len(array):
        larger = np.empty(max(need, 2 * len(array)), array.dtype)
        larger[:end] = array[:end]
        array = larger
    array[end:need] = more
    return array


def _names(keys: Keys) -> list[Any]:
    """What the dictionary knows each key by: the number itself or the key bytes."""
    if keys.starts is None or keys.lengths is None or keys.heap is None:
        names: list[Any] = keys.sort.tolist()
        return names
    raw = keys.heap.tobytes() if keys.heap.nbytes < 1 << 20 else np.ascontiguousarray(keys.heap).data
    spans = zip(keys.starts.tolist(), keys.lengths.tolist(), strict=True)
    return [bytes(raw[start : start + length]) for start, length in spans]
