"""The training table: every flight with its features as known at T = 60 minutes before scheduled departure.

Feast joins it: for each view the last row at or before T, void when older than the view's life time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from flights import sources
from flights.paths import quoted
from flights.timetable import as_timestamp
from flights.views import COUNTS, SERVED, SERVICE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast import FeatureStore

LEAD = 60
"""Minutes between T and the scheduled departure."""

CATEGORICAL = ("carrier", "origin", "dest")
NUMERIC = tuple("weather_age" if column == "weather_known_at" else column for view in SERVED for column in view.columns)
"""The 49 numeric model inputs, in the order of the views; `weather_age` is T minus when the report was known."""

TARGETS = (
    "select id, carrier, flight, origin, dest, network, sched, month, day, y, "
    f"{as_timestamp(f'sched - {LEAD}')} as event_timestamp from flight"
)


def targets(raw_data: Path) -> pd.DataFrame:
    """Every flight: its keys, its T (`event_timestamp`) and its outcome."""
    con = sources.connect()
    con.execute(f"create view flight as select * from read_parquet({quoted(raw_data / 'flight.parquet')})")
    return con.sql(TARGETS).df()


def join(store: FeatureStore, rows: pd.DataFrame | pa.Table) -> pa.Table:
    """The training table for these flights (columns of `TARGETS`), in order of departure."""
    joined = store.get_historical_features(rows, store.get_feature_service(SERVICE)).to_arrow()
    con = sources.connect()
    con.register("joined", joined)
    columns = inputs(column for view in SERVED for column in view.columns)
    return con.sql(
        f"select id, {', '.join(CATEGORICAL)}, flight, sched, month, day, event_timestamp, y, {columns} "
        "from joined order by sched, id"
    ).to_arrow_table()


def inputs(columns: Iterable[str]) -> str:
    """Select list that turns feature columns into model inputs: empty counts are 0, known-at becomes an age."""
    parts = []
    for column in columns:
        if column == "weather_known_at":
            parts.append(f"sched - {LEAD} - weather_known_at as weather_age")
        else:
            parts.append(f"coalesce({column}, 0) as {column}" if column in COUNTS else column)
    return ", ".join(parts)
