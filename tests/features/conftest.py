"""A Feast repository over a Parquet file of 100 rows: 10 airports, an hour apart, the last report 2 hours ago."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore

SETTINGS = """
project: tiny
provider: local
registry: ../.box/feast/registry.db
offline_store:
  type: duckdb
online_store:
  type: sqlite
  path: ../.box/feast/online.db
entity_key_serialization_version: 3
"""
DEFINITIONS = """
import os
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

airport = Entity(name="airport", value_type=ValueType.INT64)
source = FileSource(
    name="reports_rows",
    path=os.environ["BOXPLAT_DATA"] + "/reports.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
reports = FeatureView(
    name="reports",
    entities=[airport],
    ttl=timedelta(days=1),
    schema=[Field(name="airport", dtype=Int64), Field(name="wind", dtype=Float64), Field(name="seen", dtype=Int64)],
    source=source,
)
weather_v1 = FeatureService(name="weather_v1", features=[reports])
"""


def write_rows(paths: Paths, last: float) -> None:
    """Ten reports of each of ten airports, the newest at `last` (seconds since the epoch); wind = 100 * airport + n."""
    import duckdb

    target = paths.data / "reports.parquet"
    duckdb.sql(
        f"""
        copy (
            select airport, wind, wind::bigint as seen, event_timestamp, event_timestamp + interval 1 minute as created
            from (
                select a.range as airport, 100.0 * a.range + n.range as wind,
                       to_timestamp({last}) - to_hours(9 - n.range::int) as event_timestamp
                from range(10) a, range(10) n
            )
        ) to '{target}' (format parquet)
        """
    )


@pytest.fixture
def config() -> Config:
    return Config()


@pytest.fixture
def newest() -> float:
    """Event time of the newest rows: 2 hours ago."""
    return float(int(time.time()) - 7200)


@pytest.fixture
def paths(project: Path, state: StateStore, newest: float) -> Paths:
    found = Paths(project)
    repo = project / "feature_repo"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(SETTINGS)
    (repo / "weather.py").write_text(DEFINITIONS)
    write_rows(found, newest)
    return found
