"""The entity rows: whose features are wanted, and as of when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.join.refusals import failed_query, missing_column, name_twice, no_time, unreadable
from boxplat.features.join.request import EntityQuery, History, statement
from boxplat.features.join.session import Session
from boxplat.features.join.times import is_text, is_time, to_micros


@dataclass(frozen=True)
class Entities:
    """Entity rows.

    Attributes:
        table: as given.
        times: microseconds since the epoch, int64 [N]; without meaning where there is none.
        timed: which rows have a time, bool [N]; None: all.
    """

    table: pa.Table
    times: np.ndarray
    timed: np.ndarray | None

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last time; None where no row has one."""
        times = self.times if self.timed is None else self.times[self.timed]
        return (int(times.min()), int(times.max())) if len(times) else None


class Given:
    """Entity rows as they were given: a table, a Parquet file or a query.

    Attributes:
        schema: their columns.
        table: the rows, where they are in memory anyway.
    """

    def __init__(self, entity: pa.Table | EntityQuery | Path, session: Session) -> None:
        self._entity, self._session = entity, session
        self.table = entity if isinstance(entity, pa.Table) else None
        self.schema: pa.Schema = entity.schema if isinstance(entity, pa.Table) else self._schema()

    def pieces(self, rows: int | None) -> Iterator[pa.Table]:
        """The rows in their order, at most so many at a time (None: all at once); at least one table, if an empty one.

        Raises:
            BoxError: a file or a query that cannot be read (exit code 1).
        """
        if self.table is not None:
            size = rows or max(self.table.num_rows, 1)
            for start in range(0, max(self.table.num_rows, 1), size):
                yield self.table.slice(start, size)
            return
        held: list[pa.RecordBatch] = []
        some = False
        for batch in self._batches(rows):
            if held and rows and sum(map(len, held)) + len(batch) > rows:
                yield pa.Table.from_batches(held, self.schema)
                held, some = [], True
            held.append(batch)
        if held or not some:
            yield pa.Table.from_batches(held, self.schema)

    def _schema(self) -> pa.Schema:
        with self._readable():
            if isinstance(self._entity, EntityQuery):
                text = f"SELECT * FROM ({statement(self._entity.sql)}) AS q LIMIT 0"
                return self._session.con.sql(text).to_arrow_table().schema
            import pyarrow.parquet as pq

            return pq.read_schema(self._entity)

    def _batches(self, rows: int | None) -> Iterator[pa.RecordBatch]:
        size = min(rows or 2**20, 2**20)
        with self._readable():
            if isinstance(self._entity, EntityQuery):
                with self._session.cursor() as con:
                    yield from con.sql(self._entity.sql).to_arrow_reader(size)
                return
            import pyarrow.parquet as pq

            with pq.ParquetFile(self._entity) as file:
                yield from file.iter_batches(size, use_threads=False)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise failed_query("the entity rows", error) from error
        except (OSError, pa.ArrowException) as error:
            raise unreadable(str(self._entity), error) from error


def check(schema: pa.Schema, timestamp: str, histories: Sequence[History]) -> None:
    """Refuse what no plan can answer.

    Raises:
        BoxError: a missing column, a column of times that are none, two results under one name (exit code 2).
    """
    for column in (timestamp, *(name for history in histories for _, name in history.keys)):
        if column not in schema.names:
            raise missing_column("the table of entity rows", column, schema.names)
    kind = schema.field(timestamp).type
    if not is_time(kind) and not pa.types.is_null(kind) and not pa.types.is_dictionary(kind):
        raise no_time("the entity rows", timestamp, kind)
    origins: dict[str, str] = {}
    for name in schema.names:
        if name in origins:
            raise name_twice(name, "the entity rows", "the entity rows too")
        origins[name] = "the entity rows"
    for history in histories:
        for _, name in history.features:
            if name in origins:
                raise name_twice(name, origins[name], history.name)
            origins[name] = history.name


def timed(table: pa.Table, timestamp: str, session: Session) -> Entities:
    """Entity rows with their times; a row without a time matches nothing.

    Raises:
        BoxError: text that is no time (exit code 2).
    """
    column = table.column(timestamp)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.timestamp("us"))
    if is_text(column.type):
        column = _parsed(column, timestamp, session)
    times, valid = to_micros(column)
    return Entities(table, times, valid)


def _parsed(column: pa.ChunkedArray, name: str, session: Session) -> pa.ChunkedArray:
    import duckdb

    texts = pa.table({"x": column})  # noqa: F841 - DuckDB finds it by name
    try:
        return session.con.sql("SELECT CAST(x AS TIMESTAMPTZ) AS t FROM texts").to_arrow_table().column(0)
    except duckdb.Error as error:
        raise BoxError(
            f"column {name!r} of the entity rows holds text that is no time",
            why=str(error).splitlines()[0],
            fix="write times as ISO 8601: 2013-01-01T05:00:00Z",
            code=ExitCode.USAGE,
        ) from error
