"""What a retrieval job runs: a plan can be a table, a stream, a file. A plan finds its files anew each time it runs."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from boxplat.core.datasets import reads
from boxplat.core.digests import stamp
from boxplat.core.errors import BoxError
from boxplat.features.database import Limits, connect, is_remote
from boxplat.features.offline.publish import write_batches
from boxplat.features.offline.source import Source, unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

D = TypeVar("D")
T = TypeVar("T")
# How often, and for how many seconds at least, a read is repeated whose files were replaced under it: a short read
# beside somebody who adds row after row loses more often than a long one has time for.
_TRIES, _PATIENCE = 3, 10.0


class Plan(Protocol):
    """A result that is not computed yet."""

    def table(self) -> pa.Table: ...
    def reader(self, rows: int) -> pa.RecordBatchReader: ...
    def write(self, path: Path) -> int: ...
    def sql(self) -> str: ...


@dataclass(frozen=True)
class Query:
    """One SQL statement over one source.

    Attributes:
        describe: finds the source as it is now.
        statement: the SQL over it.
    """

    describe: Callable[[DuckDBPyConnection], Source]
    statement: Callable[[Source], str]
    limits: Limits

    def table(self) -> pa.Table:
        """The result in memory.

        Raises:
            BoxError: the files cannot be read, or keep changing.
        """

        with connect(self.limits) as con:

            def describe() -> tuple[Source, Sequence[Source]]:
                found = self.describe(con)
                return found, (found,)

            return steady(describe, lambda source: con.sql(self.statement(source)).to_arrow_table())

    def reader(self, rows: int) -> pa.RecordBatchReader:
        """The result as a stream of batches of at most `rows` rows; DuckDB works as it is read."""
        con = connect(self.limits)
        try:
            source = self.describe(con)
            stream = con.sql(self.statement(source)).to_arrow_reader(rows)
        except BaseException:
            con.close()
            raise
        return watched(stream, [source], con.close)

    def write(self, path: Path) -> int:
        """Stream the result to a Parquet file that appears whole; returns its rows."""
        return write_batches(self.reader(1 << 16), path)

    def sql(self) -> str:
        """The statement, in DuckDB's dialect, with absolute paths."""
        with connect(self.limits) as con:
            return self.statement(self.describe(con))


def steady(describe: Callable[[], tuple[D, Sequence[Source]]], run: Callable[[D], T]) -> T:
    """Run a read; again if its files were replaced meanwhile, as by a merge of part files.

    Args:
        describe: finds what to read, and the sources it was made from.

    Raises:
        BoxError: the files cannot be read, or were replaced again and again.
    """
    import duckdb

    end = time.monotonic() + _PATIENCE
    for tried in itertools.count(1):
        if tried > _TRIES and time.monotonic() > end:
            break
        found, sources = describe()
        try:
            result = run(found)
        except (duckdb.Error, OSError, BoxError) as error:
            if not _unchanged(sources):
                continue
            if isinstance(error, BoxError):
                raise
            raise unreadable(_names(sources), error) from error
        if _unchanged(sources):
            noted(sources)
            return result
    raise _replaced(sources)


def watched(
    stream: pa.RecordBatchReader,
    sources: Sequence[Source],
    close: Callable[[], None] = lambda: None,
    rows: int = sys.maxsize,
) -> pa.RecordBatchReader:
    """A stream in batches of at most `rows` rows; it ends in an error if files under it were replaced meanwhile."""
    import duckdb
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in stream:
                yield from (batch.slice(start, rows) for start in range(0, max(batch.num_rows, 1), rows))
        except (duckdb.Error, OSError) as error:
            raise unreadable(_names(sources), error) from error
        finally:
            close()
        if not _unchanged(sources):
            raise _replaced(sources)
        noted(sources)

    return pa.RecordBatchReader.from_batches(stream.schema, batches())


def noted(sources: Sequence[Source]) -> None:
    """Tell the run, where there is one, what it has read."""
    for source in sources:
        found, current = source.listing, set(source.listing.files)
        stamps = [one for one in found.stamps if one.path in current]
        local = [file for file in found.files if not is_remote(file)]
        place = found.root or (os.path.commonpath(local) if local else found.files[0])
        reads(source.name, place, stamps or [stamp(file) for file in local])


def _unchanged(sources: Sequence[Source]) -> bool:
    return all(source.listing.unchanged() for source in sources)


def _names(sources: Sequence[Source]) -> str:
    return ", ".join(source.name for source in sources)


def _replaced(sources: Sequence[Source]) -> BoxError:
    changed = [source.name for source in sources if not source.listing.unchanged()]
    return BoxError(
        f"the files of {', '.join(changed) or _names(sources)} were replaced while they were read",
        why="a result of old and new files together would be wrong",
        fix="repeat the command when the flow that writes them has ended",
    )
