"""The training table: every flight with its features as known at T = 60 minutes before scheduled departure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from flights.paths import quoted
from flights.timetable import as_timestamp
from flights.views import COUNTS, SERVED, View

LEAD = 60
"""Minutes between T and the scheduled departure."""

CATEGORICAL = ("carrier", "origin", "dest")
NUMERIC = tuple("weather_age" if column == "weather_known_at" else column for view in SERVED for column in view.columns)
"""The 49 numeric model inputs, in the order of the views; `weather_age` is T minus when the report was known."""

TARGETS = "select id, carrier, flight, origin, dest, network, sched, month, day, y from flight"


def as_of_join(view: View, rows: str, shift: int = 0) -> str:
    """SQL: columns of one view per `target.id`, as of T + `shift` minutes, void when older than the view's TTL."""
    t = as_timestamp(f"t.sched - {LEAD} + {shift}")
    on = " and ".join(f"t.{key} = v.{key}" for key in view.keys)
    columns = ", ".join(
        f"case when {t} <= v.event_timestamp + interval {view.ttl} minute then v.{column} end as {column}"
        for column in view.columns
    )
    return f"select t.id, {columns} from target t asof left join ({rows}) v on {on} and {t} >= v.event_timestamp"


def view_rows(folder: Path, view: View) -> str:
    """SQL that reads a view's rows from its Parquet file."""
    return f"select * from read_parquet({quoted(folder / f'{view.name}.parquet')})"


def inputs(columns: Iterable[str]) -> str:
    """Select list that turns feature columns into model inputs: empty counts are 0, known-at becomes an age."""
    parts = []
    for column in columns:
        if column == "weather_known_at":
            parts.append(f"sched - {LEAD} - weather_known_at as weather_age")
        else:
            parts.append(f"coalesce({column}, 0) as {column}" if column in COUNTS else column)
    return ", ".join(parts)


def create(con: duckdb.DuckDBPyConnection, rows: Mapping[str, str]) -> None:
    """Create table `training` from table `target` and the rows (SQL by view name) of every served view."""
    for view in SERVED:
        con.execute(f"create or replace temp table joined_{view.name} as {as_of_join(view, rows[view.name])}")
    joins = " ".join(f"join joined_{view.name} using (id)" for view in SERVED)
    columns = inputs(column for view in SERVED for column in view.columns)
    con.execute(
        f"create or replace table training as select id, {', '.join(CATEGORICAL)}, flight, sched, month, day, "
        f"{as_timestamp(f'sched - {LEAD}')} as event_timestamp, y, {columns} from target {joins} order by sched, id"
    )
    for view in SERVED:
        con.execute(f"drop table joined_{view.name}")
