"""A bulk load: partitions of rows merged with the view's own, written beside them and swapped in at once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from boxplat.core.disk import flush
from boxplat.core.errors import BoxError
from boxplat.features.rows import block, bulk, files
from boxplat.features.rows import manifest as manifests
from boxplat.features.rows.codecs import Column
from boxplat.features.rows.layout import Layout
from boxplat.features.rows.live import SCRATCH, LiveView
from boxplat.features.rows.manifest import Manifest
from boxplat.features.rows.partition import divide
from boxplat.features.rows.segment import Segment

_PLAN = "plan.json"


class Load:
    """One bulk load of a view, made by `Store.load`. Nothing of it is seen before `commit`.

    Rows are merged under the event-time guard with what was in the view, and with what was pushed before the load
    began: the newest event time wins, then the later created time, then the load. What is pushed during the load is
    kept. A load that is left without `commit`, or killed, leaves the view as it was.

    Attributes:
        base: the segments that the view had when the load began.
        folder: the load's scratch folder beside them; it survives a kill for `resume`, and is removed by `commit`.
        version: a name for what the rows are merged with; it differs whenever `base` differs.
    """

    base: Sequence[Segment]
    folder: Path
    version: str

    def __init__(self, live: LiveView) -> None:
        self._live = live
        self._manifest = live.rotate()
        self._snapshot = live.snapshot()
        self._layout = self._snapshot.layout
        self.base = self._snapshot.segments
        for old in self.base:
            old.rest()
        self.folder = live.folder / SCRATCH
        self.version = hashlib.sha256(repr((self._layout, self._manifest.segments)).encode()).hexdigest()
        self._folded = self._manifest.logs[:-1]
        self._pushed: block.Block | None = None
        self._partitions: int | None = None
        self._begun = False

    def resume(self, identity: str) -> dict[int, int]:
        """The partitions that an interrupted load of the same identity has finished, and how many rows each was given.

        Call it before the first `write`. `identity` is any text that names the work: the source's files, the time
        range, the number of partitions. Unless it, the schema and the view's segments are those of the interrupted
        load, its scratch folder is emptied.
        """
        plan = self._plan(identity)
        try:
            kept = json.loads((self.folder / _PLAN).read_bytes())
        except (OSError, ValueError):
            kept = {}
        same = kept.get("identity") == identity and kept.get("version") == self.version
        if not same or not set(kept["folded"]) <= set(self._manifest.logs):
            self._begin(plan)
            return {}
        self._folded = tuple(kept["folded"])
        self._begun = True
        return {number: rows for number, _, rows in self._finished()}

    def _plan(self, identity: str) -> dict[str, Any]:
        return {"identity": identity, "version": self.version, "folded": list(self._folded)}

    def _begin(self, plan: Mapping[str, Any]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        files.make_private(self.folder)
        files.replace(self.folder / _PLAN, [json.dumps(plan).encode()])
        self._begun = True

    def _finished(self) -> list[tuple[int, int, int]]:
        """Number, number of partitions, and rows given, of each file that is there."""
        found = []
        for path in self.folder.glob("part-*.seg"):
            number, partitions, rows = map(int, path.stem.split("-")[1:])
            found.append((number, partitions, rows))
        return sorted(found)

    def write(
        self,
        partition: int,
        partitions: int,
        keys: Mapping[str, Column],
        event_us: Column,
        created_us: Column | None,
        columns: Iterable[tuple[str, Column]],
    ) -> int:
        """Write partition number `partition` of `partitions`; it is finished, for `resume`, when this returns.

        Memory: the records of the partition, new and merged, and one column.

        Args:
            partition: from 0; every row's key belongs to it by `rows.partition_of`. With one partition that is any key.
            keys: a column of N values for each key. Rows with a null key are left out; of equal keys the newest counts.
            event_us: int64 [N] microseconds since the epoch, or an Arrow timestamp column.
            created_us: the same, or None; a null created time loses every tie.
            columns: (field, column of N values), one at a time: give a generator, so that only one is in memory. Fields
                that never come are null.

        Returns:
            How many rows it was given, after removing those.

        Raises:
            BoxError: an unknown field, a value that the declared type cannot hold, a full disk. The view is unchanged.
            ValueError: a row of another partition, or another number of partitions than before.
        """
        if not self._begun:
            self._begin(self._plan(""))
        name = self._live.name
        rows = bulk.fresh(self._layout, name, keys, event_us, created_us)
        order, repeated = bulk.ordered(rows, rows.found.valid)
        if repeated:
            rows.fill(name, columns)
        new = bulk.newest(rows, order) if repeated else bulk.Part(rows, order)
        self._check(partition, partitions, new)
        given = len(new)
        # Older rows are looked at before the columns are in memory.
        parts = self._guarded(partition, partitions, new)
        if not repeated:
            rows.fill(name, columns)
        bulk.write(self._part(partition, partitions, given), self._layout, parts)
        return given

    def _check(self, partition: int, partitions: int, new: bulk.Part) -> None:
        if self._partitions is None:
            self._partitions = next((count for _, count, _ in self._finished()), partitions)
        if partitions != self._partitions or not 0 <= partition < partitions:
            raise ValueError(f"partition {partition} of {partitions} in a load of {self._partitions} partitions")
        if (divide(new.source.sort[new.rows], partitions) != partition).any():
            raise ValueError(f"a row does not belong to partition {partition} of {partitions}")

    def _part(self, partition: int, partitions: int, rows: int) -> Path:
        return self.folder / f"part-{partition}-{partitions}-{rows}.seg"

    def _guarded(self, partition: int, partitions: int, *new: bulk.Part) -> list[bulk.Part]:
        """The newest row of every key of one partition, wherever it is; of equal times the latest source's."""
        if self._pushed is None:
            logs = [log for log in self._snapshot.logs if log.path.name in self._folded]
            self._pushed = block.newest(block.concat(self._layout, [rows for log in logs for rows in log.rows()]))
        parts = []
        for source in (*self.base, self._pushed):
            rows = np.flatnonzero(divide(source.sort, partitions) == partition)
            parts.append(bulk.Part(bulk.Stored(self._layout, source), rows))
        parts += new
        bulk.guard(parts)
        bulk.rest(parts)
        return parts

    def commit(self, watermark_us: int | None) -> None:
        """Swap the partitions into the view, durably. Partitions that were not written get no new rows.

        Args:
            watermark_us: up to which event time the view is now complete, in microseconds since the epoch; None keeps
                that of the last load, and the time when it was loaded.

        Raises:
            BoxError: the disk is full, or the view was dropped or got other keys meanwhile. The view is as it was.
        """
        if not self._begun:
            self._begin(self._plan(""))
        finished = self._finished()
        partitions = self._partitions or (finished[0][1] if finished else max(1, len(self.base)))
        done = {number: self._part(number, count, rows) for number, count, rows in finished}
        for number in range(partitions):
            if number not in done:
                done[number] = self._part(number, partitions, 0)
                bulk.write(done[number], self._layout, self._guarded(number, partitions))
        self._swap([done[number] for number in range(partitions)], watermark_us)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _swap(self, parts: Sequence[Path], watermark_us: int | None) -> None:
        with self._live.writing(f"load the view {self._live.name!r}"):
            now: Manifest | None = self._live.fresh().manifest if self._live.exists() else None
            if now is None or now.segments != self._manifest.segments or Layout.of(now.view).keys != self._layout.keys:
                raise BoxError(
                    f"cannot load the view {self._live.name!r}",
                    why="it was dropped, or its keys were changed, during the load",
                    fix="box features apply && box features materialize",
                )
            token = secrets.token_hex(8)
            changed = replace(
                now,
                segments=tuple(f"rows-{token}-{number}.seg" for number in range(len(parts))),
                logs=tuple(name for name in now.logs if name not in self._folded),
            )
            if watermark_us is not None:
                changed = replace(changed, watermark_us=watermark_us, loaded_at_us=time.time_ns() // 1000)
            self._publish(parts, changed)

    def _publish(self, parts: Sequence[Path], changed: Manifest) -> None:
        """Give the parts their names in the view, so that a kill leaves them in the scratch folder too."""
        folder = self._live.folder
        try:
            for part, name in zip(parts, changed.segments, strict=True):
                os.link(part, folder / name)
            flush(folder)
        except OSError as error:
            raise files.cannot_write(folder, error) from error
        manifests.write(folder, changed)
        self._live.sweep()
