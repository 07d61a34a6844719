"""Which rows of the training set are looked at: moments spread over its time, and rows decided at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boxplat.features.audit.sources import moment
from boxplat.features.database import quoted

if TYPE_CHECKING:
    import duckdb

ROW = "__box_row"
"""Added to the training set: the number of a row, in the order of the file."""
TIME = "__box_time"
MOST = 1_000_000


@dataclass(frozen=True)
class Moment:
    """A decision time (microseconds since the epoch) and the training rows that were decided at it."""

    time_us: int
    rows: Sequence[dict[str, Any]]

    @property
    def when(self) -> datetime:
        return datetime.fromtimestamp(self.time_us / 1e6, UTC)


def numbered(relation: str) -> str:
    """SQL of a table with its row numbers."""
    return f"select *, row_number() over () - 1 as {ROW} from {relation}"


def moments(
    con: duckdb.DuckDBPyConnection, table: str, time: str, label: str, count: int, per: int, seed: int
) -> list[Moment]:
    """Rows are put in time order and cut into `count` equal parts; a random row of each part names a decision time, of
    which at most `per` random rows are taken. Rows without an outcome, on which nothing is trained, do not count.

    Args:
        table: SQL of the training set, with row numbers.
    """
    labelled = f" and {quoted(label)} is not null" if label else ""
    con.execute(
        f"create or replace temp table timed as select {ROW}, {moment(quoted(time))} as t from ({table}) "
        f"where {quoted(time)} is not null{labelled}"
    )
    ((rows,),) = con.execute("select count(*) from timed").fetchall()
    thin = f"where hash({ROW}, {seed}, 1) % {rows // MOST + 1} = 0"
    con.execute(
        f"create or replace temp table chosen as select distinct arg_min(t, hash({ROW}, {seed})) as t from "
        f"(select {ROW}, t, ntile({count}) over (order by t, {ROW}) as part from timed {thin}) group by part"
    )
    picked = con.sql(
        f"select p.t as {TIME}, s.* from ({table}) s join ("
        f"  select {ROW}, t from timed where t in (select t from chosen) "
        f"  qualify row_number() over (partition by t order by hash({ROW}, {seed}), {ROW}) <= {per}"
        f") p using ({ROW}) order by p.t, {ROW}"
    ).to_arrow_table()
    found: dict[int, list[dict[str, Any]]] = {}
    for row in picked.to_pylist():
        found.setdefault(row.pop(TIME), []).append(row)
    return [Moment(at, tuple(rows)) for at, rows in found.items()]
