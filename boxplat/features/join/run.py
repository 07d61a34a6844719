"""A join from request to result, a chunk of entity rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from functools import cache

import numpy as np
import pyarrow as pa

from boxplat.features.database import is_remote, quoted
from boxplat.features.join import fetch, plan, sql
from boxplat.features.join.codes import Coded, Codes
from boxplat.features.join.entity import Entities, Given, check, timed
from boxplat.features.join.inline import Inline
from boxplat.features.join.keys import Common
from boxplat.features.join.match import Search, match
from boxplat.features.join.needles import Clock, Needles
from boxplat.features.join.request import History
from boxplat.features.join.session import Session
from boxplat.features.join.source import Source, described, from_files, from_query, remote
from boxplat.features.remote import load_remote

_Keyed = tuple[Codes, Needles]
# Entity rows and history rows that are joined in less time than threads take to start.
_SMALL = 2**18


class Join:
    """One join, checked and with its sources open.

    Args:
        given: the entity rows.
        timestamp: their column of times.

    Attributes:
        schema: of the result: the entity columns, then the features.

    Raises:
        BoxError: a column that is missing or cannot be compared, a source that cannot be read.
    """

    def __init__(self, given: Given, timestamp: str, histories: Sequence[History], session: Session) -> None:
        check(given.schema, timestamp, histories)
        self._given, self._timestamp, self._session = given, timestamp, session
        whole = None if given.table is None else timed(given.table, timestamp, session)
        self._whole = whole
        self._sources = [self._opened(history) for history in histories]
        self._forms = [plan.forms(source, given.schema) for source in self._sources]
        fields = list(given.schema)
        for source in self._sources:
            fields += [pa.field(name, source.kind(column)) for column, name in source.history.features]
        self.schema = pa.schema(fields, metadata=given.schema.metadata)

    def whole(self) -> pa.Table:
        """The result in one piece."""
        return next(self._results(None))

    def chunks(self) -> Iterator[pa.Table]:
        """The result in entity order, in pieces that keep the memory limit."""
        yield from self._results(plan.chunk_rows(self._given.schema, self._sources, self._session))

    def _results(self, rows: int | None) -> Iterator[pa.Table]:
        for piece in self._given.pieces(rows):
            yield self._joined(self._timed(piece))
            pa.default_memory_pool().release_unused()

    def _timed(self, piece: pa.Table) -> Entities:
        if self._whole is not None and piece.num_rows == self._whole.table.num_rows:
            return self._whole
        return timed(piece, self._timestamp, self._session)

    def _opened(self, history: History) -> Source:
        """The source of a history; of a query without the rows that no entity row can see."""
        if any(map(is_remote, history.files)):
            load_remote(self._session.con, history.files)
            history = remote(history)
        if history.query is None:
            return from_files(history)
        schema = described(history, self._session)
        where = "true"
        if self._whole is not None:
            where = sql.window(Source(history, schema, 0, "", ""), self._whole)
        select = ", ".join(quoted(name) for name in schema.names)
        return from_query(history, self._session, where, select)

    def _joined(self, entities: Entities) -> pa.Table:
        columns = list(entities.table.columns)
        with self._pool(len(entities.times)) as pool:
            prepared = self._prepared(entities, pool)
            matched = {
                pool.submit(self._rows, source, keyed, entities): index
                for index, (source, keyed) in enumerate(zip(self._sources, prepared, strict=True))
            }
            found: list[list[Future[pa.Array]]] = [[] for _ in self._sources]
            for future in as_completed(matched):
                index = matched[future]
                found[index] = [pool.submit(column) for column in self._columns(self._sources[index], future.result())]
            columns += [value.result() for values in found for value in values]
        return pa.table(columns, schema=self.schema)

    def _pool(self, entities: int) -> Executor:
        small = entities + sum(source.rows for source in self._sources) < _SMALL
        if small:
            return Inline()
        _keep_memory()
        return ThreadPoolExecutor(self._session.threads)

    def _prepared(self, entities: Entities, pool: Executor) -> list[Future[_Keyed] | None]:
        """Codes and sorted entity rows by source, shared by those with the same keys; None: to be matched in SQL.

        A task may wait for those submitted before it: they have begun by then.
        """
        columns: dict[tuple[str, Common], Future[Coded]] = {}
        known: dict[tuple[tuple[str, Common], ...], Future[_Keyed]] = {}
        prepared: list[Future[_Keyed] | None] = []
        clock: Future[Clock] | None = None
        for source, forms in zip(self._sources, self._forms, strict=True):
            if self._session.options.plan == "sql" or not plan.coded(source, entities.table.schema, forms):
                self._session.open()
                prepared.append(None)
                continue
            clock = clock or pool.submit(Clock.of, entities.times, entities.timed)
            key = tuple((theirs, form) for (_, theirs), form in zip(source.history.keys, forms, strict=True))
            for name, form in key:
                if (name, form) not in columns:
                    columns[name, form] = pool.submit(Coded.of, entities.table.column(name), form)
            if key not in known:
                known[key] = pool.submit(_keyed, [columns[part] for part in key], clock, len(entities.times))
            prepared.append(known[key])
        return prepared

    def _rows(self, source: Source, keyed: Future[_Keyed] | None, entities: Entities) -> np.ndarray:
        cutoff, span, count = self._session.options.created_cutoff, entities.span, len(entities.times)
        if span is None:
            return np.full(count, -1, np.int64)
        if keyed is None:
            return sql.match(source, entities, cutoff, self._session)
        at_once = plan.slice_rows(source, span, count, self._session)
        return match(Search(source, *keyed.result(), span, cutoff), count, at_once)

    def _columns(self, source: Source, rows: np.ndarray) -> list[fetch.Column]:
        return fetch.columns(source, rows, self._session.rows(fetch.BYTES_PER_ROW), self._session)


@cache
def _keep_memory() -> None:
    """Let the C library keep up to 64 MiB of what is freed (mallopt(3)): freeing a block of this size makes it do so.

    Giving the pages of each temporary array back to the system takes longer than the arithmetic on it.
    """
    np.empty(31 * 2**20, np.uint8)


def _keyed(columns: Sequence[Future[Coded]], clock: Future[Clock], rows: int) -> _Keyed:
    codes = Codes([column.result() for column in columns], rows)
    return codes, clock.result().needles(codes.values)
