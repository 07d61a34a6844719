"""One state of a view, open for reading: its manifest, its mapped segments and its pushed rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from boxplat.core.errors import not_found
from boxplat.features.rows import block, files
from boxplat.features.rows import manifest as manifests
from boxplat.features.rows.few import Few, Stored, places_of
from boxplat.features.rows.keys import Key, Keys
from boxplat.features.rows.keysets import KeySet
from boxplat.features.rows.layout import Layout, Records, not_older
from boxplat.features.rows.manifest import Manifest
from boxplat.features.rows.overlay import Overlay
from boxplat.features.rows.partition import divide
from boxplat.features.rows.pushlog import PushLog
from boxplat.features.rows.rows import Limit, Mask, Rows
from boxplat.features.rows.segment import Segment, look_up, open_segment

_TRIES = 100
_PLANS = 1000
# Pushed rows are folded into the segments beyond these numbers of rows and of bytes.
_FEWEST, _MOST, _LARGEST = 50_000, 500_000, 128 << 20


class Snapshot:
    """A view's rows as one manifest names them; pushes are taken in by `catch_up`."""

    def __init__(self, folder: Path, manifest: Manifest, known: Mapping[str, Segment]) -> None:
        """Raises FileNotFoundError when a file was replaced meanwhile, BoxError when one is damaged."""
        self.manifest = manifest
        self.view = manifest.view
        self.layout = Layout.of(manifest.view)
        self.segments = tuple(known.get(name) or open_segment(folder / name) for name in manifest.segments)
        self.logs = tuple(PushLog(folder / name) for name in manifest.logs)
        self.overlay = Overlay(self.layout)
        self._heaps = tuple(segment.heap for segment in self.segments) or (np.empty(0, np.uint8),)
        self._same = tuple(segment.layout == self.layout for segment in self.segments)
        self._places = places_of(self.layout)
        self._asked: dict[tuple[str, ...] | None, tuple[str, ...]] = {None: tuple(self.layout.position)}
        self.catch_up()

    def asked(self, fields: Sequence[str] | None) -> tuple[str, ...]:
        """The fields of a read.

        Raises:
            BoxError: the view has no such field.
        """
        wanted = None if fields is None else tuple(fields)
        known = self._asked.get(wanted)
        if known is None:
            assert wanted is not None
            for name in wanted:
                if name not in self.layout.position:
                    raise not_found("field", f"{self.view.name}:{name}", self.layout.position, fix="box features apply")
            if len(self._asked) > _PLANS:
                self._asked = {None: tuple(self.layout.position)}
            known = self._asked[wanted] = wanted
        return known

    def catch_up(self) -> None:
        """Take in what was pushed since."""
        for log in self.logs:
            for rows in log.unread():
                self.overlay.add(rows)

    def read(self, keys: Keys, fields: tuple[str, ...], oldest_us: Limit) -> Rows:
        """The rows of N keys: each from the pushes or from the segments, whichever is newer."""
        records, found, which = self._base(keys)
        heaps = self._heaps
        if len(self.overlay):
            slots = self.overlay.find(keys)
            rows = np.flatnonzero(slots >= 0)
            if len(rows):
                pushed = self.overlay.records[slots[rows]]
                wins = ~found[rows] | not_older(pushed, records[rows])
                rows = rows[wins]
                records[rows] = pushed[wins]
                found[rows] = True
                which = np.zeros(len(records), np.uint16) if which is None else which
                which[rows] = len(heaps)
                heaps = (*heaps, self.overlay.heap)
        return Rows(self.view.name, self.layout, fields, records, found, heaps, which, oldest_us)

    def read_few(
        self,
        keys: Sequence[Key | None],
        fields: tuple[str, ...],
        oldest_us: int | None,
        places: dict[KeySet, list[int]],
    ) -> Few:
        """`read` for a few keys; None is never found. `places`: what earlier reads by these keys have found."""
        if len(self.segments) == 1 and self.layout.integer_key and self._same[0]:
            stored = self._whole(keys, places)
        else:
            stored = [None if key is None else self._base_row(key) for key in keys]
        if self.overlay.count:
            stored = [None if key is None else self._newest(row, key) for row, key in zip(stored, keys, strict=True)]
        return Few(self.view.name, self.layout, self._places, fields, stored, oldest_us)

    def _whole(self, keys: Sequence[Key | None], places: dict[KeySet, list[int]]) -> list[Stored]:
        """Rows of the only segment by whole numbers, which are at the same place wherever the key set is the same."""
        segment, heap = self.segments[0], self._heaps[0]
        at = places.get(segment.keyset)
        if at is None:
            find = segment.find_one
            at = places[segment.keyset] = [-1 if key is None else find(key) for key in keys]
        unpack, memory, size = self.layout.packed.unpack_from, segment.memory, self.layout.packed.size
        return [None if place < 0 else (unpack(memory, place * size), heap) for place in at]

    def _base_row(self, key: Key) -> Stored:
        if not self.segments:
            return None
        number = (key.sort >> 32) * len(self.segments) >> 32
        at = self.segments[number].find_one(key)
        return (self._record(number, at), self._heaps[number]) if at >= 0 else None

    def _newest(self, row: Stored, key: Key) -> Stored:
        """A key's row of the segments, or the pushed one."""
        slot = self.overlay.slot(key)
        if slot < 0:
            return row
        pushed = self.layout.packed.unpack(self.overlay.records[slot].tobytes())
        # A record begins with its event and its created time.
        return row if row is not None and pushed[:2] < row[0][:2] else (pushed, self.overlay.heap)

    def _record(self, number: int, at: int) -> tuple[Any, ...]:
        segment = self.segments[number]
        if self._same[number]:
            return self.layout.packed.unpack_from(segment.memory, at * self.layout.packed.size)
        adapted = self.layout.adapt(segment.records[at : at + 1], segment.layout)
        return self.layout.packed.unpack(adapted.tobytes())

    def folds(self) -> bool:
        """Whether so much was pushed that it belongs into the segments: an eighth of their rows, within bounds."""
        limit = min(max(_FEWEST, sum(map(len, self.segments)) // 8), _MOST)
        return self.overlay.count > limit or sum(log.end for log in self.logs) > _LARGEST

    def winners(self, rows: block.Block) -> block.Block:
        """Of new rows, one for each key, those that become the newest of their key; sorted."""
        rows = block.newest(rows)
        old = self.read(rows.as_keys(), (), None)
        return rows.take(np.flatnonzero(old.not_newer_than(rows.records)))

    def _base(self, keys: Keys) -> tuple[Records, Mask, np.ndarray[tuple[int], np.dtype[np.uint16]] | None]:
        """Records, which of them are there, and from which segment, without the pushes."""
        if len(self.segments) == 1 and self._same[0] and len(self.segments[0]):
            segment = self.segments[0]
            at, found = look_up(segment, keys)
            return segment.voids.take(at, mode="clip").view(self.layout.dtype), found, None
        records, found = np.zeros(len(keys.sort), self.layout.dtype), np.zeros(len(keys.sort), bool)
        which = np.zeros(len(keys.sort), np.uint16)
        home = divide(keys.sort, max(1, len(self.segments)))
        for number, segment in enumerate(self.segments):
            rows = np.flatnonzero(home == number)
            at, there = look_up(segment, some(keys, rows))
            rows, at = rows[there], at[there]
            records[rows] = self.layout.adapt(segment.records[at], segment.layout)
            found[rows], which[rows] = True, number
        return records, found, which


def some(keys: Keys, rows: block.Index) -> Keys:
    """Some of the keys."""
    valid = None if keys.valid is None else keys.valid[rows]
    if keys.starts is None or keys.lengths is None:
        return Keys(keys.sort[rows], valid)
    return Keys(keys.sort[rows], valid, keys.starts[rows], keys.lengths[rows], keys.heap)


def open_snapshot(folder: Path, before: Snapshot | None = None) -> Snapshot:
    """The view as it is now; files of `before` that are still in use are not opened again.

    Raises:
        FileNotFoundError: there is no such view.
        BoxError: a file is damaged.
    """
    known = {} if before is None else {segment.path.name: segment for segment in before.segments}
    identity = -1
    for _ in range(_TRIES):
        manifest = manifests.read(folder)
        try:
            return Snapshot(folder, manifest, known)
        except FileNotFoundError as error:
            if manifest.identity == identity:
                raise files.damaged(
                    folder / manifests.NAME, f"it names a file that is gone: {error.filename}"
                ) from error
            identity = manifest.identity
    raise files.damaged(folder / manifests.NAME, "its files are replaced faster than they can be read")
