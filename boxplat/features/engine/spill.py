"""A source that is too large to be worked on at once, divided by key into files of Arrow data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from boxplat.core.disk import flush
from boxplat.features.engine.heads import Heads, heads_of
from boxplat.features.engine.plan import Plan
from boxplat.features.engine.reader import Reader
from boxplat.features.rows import files

if TYPE_CHECKING:
    import pyarrow as pa

# Which of a number of partitions each key belongs to.
Division = Callable[[Heads, int], np.ndarray[tuple[int], np.dtype[np.uint32]]]
BATCH_ROWS = 250_000


class Spill:
    """The partitions of one source in a folder. Once it is complete it stays as long as the folder, also after kill
    -9; what is left of it are the partitions that were not released."""

    def __init__(self, plan: Plan, folder: Path, partitions: int) -> None:
        self._plan = plan
        self._folder = folder
        self._done = folder / "spill.json"
        self.partitions = partitions

    def complete(self) -> bool:
        """Whether all rows are here."""
        return self._done.exists() and json.loads(self._done.read_text()) == self.partitions

    def fill(self, source: Reader, divide: Division, progress: Callable[[int], object]) -> None:
        """Divide the source's rows; of each batch only the newest row of a key is kept.

        Args:
            progress: is given the number of rows read since the last time.
        """
        try:
            self._fill(source, divide, progress)
        except BaseException:
            # Half a division cannot be gone on with; its room may be what is missing.
            for part in range(self.partitions):
                self.release(part)
            raise
        files.replace(self._done, [json.dumps(self.partitions).encode()])

    def _fill(self, source: Reader, divide: Division, progress: Callable[[int], object]) -> None:
        with ExitStack() as stack:
            writers: list[pa.RecordBatchFileWriter] = []
            for table in source.batches(BATCH_ROWS):
                if not writers:
                    writers = [stack.enter_context(_writer(self._file(part), table)) for part in range(self.partitions)]
                self._divide(table, divide, writers)
                progress(table.num_rows)
        for part in range(self.partitions):
            flush(self._file(part))

    def part(self, number: int) -> Part:
        """One partition's rows."""
        return Part(self._plan, self._file(number))

    def release(self, number: int) -> None:
        """Delete a partition's file, whose rows are no longer needed."""
        self._file(number).unlink(missing_ok=True)

    def _divide(self, table: pa.Table, divide: Division, writers: Sequence[pa.RecordBatchFileWriter]) -> None:
        heads = heads_of(self._plan, table.columns)
        rows = np.sort(heads.newest())
        parts = divide(heads.take(rows), self.partitions)
        order = np.argsort(parts, kind="stable")
        table = table.take(rows[order]).combine_chunks()
        bounds = np.searchsorted(parts[order], np.arange(self.partitions + 1))
        for part, writer in enumerate(writers):
            if bounds[part] < bounds[part + 1]:
                writer.write_table(table.slice(bounds[part], bounds[part + 1] - bounds[part]))

    def _file(self, number: int) -> Path:
        return self._folder / f"spill-{number}.arrow"


class Part:
    """One partition, read one column at a time."""

    def __init__(self, plan: Plan, file: Path) -> None:
        self._plan = plan
        self._file = file
        self._first = len(plan.keys) + (1 if plan.created is None else 2)

    def heads(self) -> Heads:
        """Keys and times of all rows."""
        return heads_of(self._plan, self._read(range(self._first)).columns)

    def column(self, index: int) -> pa.ChunkedArray:
        """All values of the view's field number `index`."""
        return self._read([self._first + index]).column(0)

    def _read(self, columns: Sequence[int]) -> pa.Table:
        from pyarrow import OSFile, ipc

        with OSFile(str(self._file)) as file:
            return ipc.open_file(file, options=ipc.IpcReadOptions(included_fields=list(columns))).read_all()


def _writer(path: Path, table: pa.Table) -> pa.RecordBatchFileWriter:
    from pyarrow import ipc

    path.touch(mode=0o600)
    return ipc.new_file(str(path), table.schema)
