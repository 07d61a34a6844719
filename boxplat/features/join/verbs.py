"""The three ways to have a join: a table, a stream of batches, a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.features.join.request import EntityQuery, History, Options

if TYPE_CHECKING:
    import pyarrow as pa

    from boxplat.features.join.run import Join

_BATCH = 65_536


def join(
    entity: pa.Table | EntityQuery | Path, timestamp: str, histories: Sequence[History], options: Options | None = None
) -> pa.Table:
    """To each entity row the newest row of each history that was known at its time.

    Args:
        entity: rows with the keys and a time; as a table, a query or a Parquet file.
        timestamp: the entity column of times: timestamps, dates or ISO text; without a zone they are UTC. A row
            without a time is kept and matches nothing.

    Returns:
        The entity rows in their order and with all their columns, then the features under their output names, in the
        types of their sources.

    Raises:
        BoxError: a column that is missing or cannot be compared (exit code 2), a source that cannot be read (1).
    """
    from boxplat.features.join.entity import Given
    from boxplat.features.join.run import Join
    from boxplat.features.join.session import Session

    with Session(options or Options()) as session:
        return Join(Given(entity, session), timestamp, histories, session).whole()


def stream(
    entity: pa.Table | EntityQuery | Path, timestamp: str, histories: Sequence[History], options: Options | None = None
) -> pa.RecordBatchReader:
    """As `join`, in batches, within the memory limit however large the result; checked before the first batch."""
    import pyarrow as pa

    from boxplat.features.join.entity import Given
    from boxplat.features.join.run import Join
    from boxplat.features.join.session import Session

    with ExitStack() as stack:
        session = stack.enter_context(Session(options or Options()))
        job = Join(Given(entity, session), timestamp, histories, session)
        return pa.RecordBatchReader.from_batches(job.schema, _batches(job, stack.pop_all()))


def _batches(job: Join, stack: ExitStack) -> Iterator[pa.RecordBatch]:
    with stack:
        for chunk in job.chunks():
            yield from chunk.to_batches(max_chunksize=_BATCH)


def write(
    entity: pa.Table | EntityQuery | Path,
    timestamp: str,
    histories: Sequence[History],
    options: Options | None = None,
    *,
    path: Path,
) -> int:
    """As `join`, to a Parquet file, within the memory limit; the file appears under its name when it is whole.

    Returns:
        The number of rows.

    Raises:
        BoxError: as `join`; also a full disk (exit code 1). Nothing then lies under the name that was not there before.
    """
    from boxplat.features.join.entity import Given
    from boxplat.features.join.run import Join
    from boxplat.features.join.session import Session
    from boxplat.features.join.writing import to_parquet

    with Session(options or Options()) as session:
        job = Join(Given(entity, session), timestamp, histories, session)
        return to_parquet(job.schema, job.chunks(), path)
