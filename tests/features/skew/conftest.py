"""A repository with history, and a log of what was served from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.config import Config, EndpointConfig, SkewConfig
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply
from boxplat.features.skew import Report, skew
from boxplat.serving import annotate
from boxplat.serving.log import annotation
from boxplat.serving.log.journal import Journal

SETTINGS = """
project: tiny
provider: local
registry: ../.box/feast/registry.db
offline_store:
  type: boxplat.features.BoxOfflineStore
online_store:
  type: boxplat.features.BoxOnlineStore
  path: ../.box/feast/online
entity_key_serialization_version: 3
"""
DEFINITIONS = """
import os
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, String

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
    ttl=timedelta(hours=6),
    schema=[
        Field(name="airport", dtype=Int64),
        Field(name="wind", dtype=Float64),
        Field(name="seen", dtype=Int64),
        Field(name="sky", dtype=String),
        Field(name="gust", dtype=Float32),
    ],
    source=source,
)
asked = RequestSource(name="asked", schema=[Field(name="knots", dtype=Float64)])


@on_demand_feature_view(sources=[reports, asked], schema=[Field(name="over", dtype=Float64)])
def compared(rows: pd.DataFrame) -> pd.DataFrame:
    found = pd.DataFrame()
    found["over"] = rows["wind"] - rows["knots"]
    return found


weather_v1 = FeatureService(name="weather_v1", features=[reports])
weather_v2 = FeatureService(name="weather_v2", features=[reports[["wind"]], compared])
"""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("wind", "seen", "sky", "gust")


def at(hours: float) -> datetime:
    """Hours after noon."""
    return NOON + timedelta(hours=hours)


@dataclass(frozen=True)
class Row:
    """A report of airport 1 unless it says otherwise; created a minute after its event unless it says when."""

    event: float
    wind: float | None = 0.0
    seen: int | None = 0
    sky: str | None = "clear"
    gust: float | None = 0.1
    airport: int = 1
    created: float | None = None

    def values(self) -> dict[str, Any]:
        created = at(self.event) + timedelta(minutes=1) if self.created is None else at(self.created)
        return {
            "airport": self.airport,
            **{name: getattr(self, name) for name in NAMES},
            "event_timestamp": at(self.event),
            "created": created,
        }


ROWS = tuple(Row(hour, 10.0 * hour, hour, f"sky {hour}") for hour in range(-4, 4))
_SCHEMA = pa.schema(
    {"airport": pa.int64(), "wind": pa.float64(), "seen": pa.int64(), "sky": pa.string(), "gust": pa.float32()}
    | {name: pa.timestamp("us", tz="UTC") for name in ("event_timestamp", "created")}
)


class Served:
    """A project whose endpoint `e` serves what a test says."""

    def __init__(self, root: Path, state: StateStore) -> None:
        self.paths = Paths(root)
        self.state = state
        self.repo = root / "feature_repo"
        self.config = Config(endpoints={"e": EndpointConfig()})
        self.requests = 0
        self.repo.mkdir()
        (self.repo / "feature_store.yaml").write_text(SETTINGS)
        self.declare(DEFINITIONS)
        self.history(ROWS)

    def declare(self, text: str) -> None:
        (self.repo / "weather.py").write_text(text)

    def history(self, rows: Sequence[Row]) -> None:
        table = pa.Table.from_pylist([row.values() for row in rows], _SCHEMA)
        pq.write_table(table, self.paths.data / "reports.parquet")

    def apply(self) -> None:
        apply(self.state, self.paths, self.config, "test", lambda line: None)

    def answer(
        self,
        as_of: datetime,
        features: Mapping[str, Any],
        event: datetime | None,
        *,
        service: str = "weather_v1",
        time: datetime | None = None,
        age: float | None = None,
        **keys: Any,
    ) -> str:
        """Log one prediction that was made of these features, of a row of this time (None: ages are not logged).

        `age`: another age than that of the row, seconds.
        """
        self.requests += 1
        log = Journal(self.paths.state / "predictions" / "e", {"endpoint": "e", "release": "1"})
        slip = annotation.opened()
        ages = None if event is None else {"reports": (as_of - event).total_seconds() if age is None else age}
        annotate(keys={"airport": 1, **keys}, features=dict(features), ages=ages, as_of=as_of, feature_service=service)
        annotation.close()
        began = int((time or as_of).timestamp() * 1e9)
        log.note(f"request {self.requests}", began, 1000, "predict", 200, 1, b"{}", b"1", slip)
        log.flush()
        log.stop()
        return f"request {self.requests}"

    def row(self, row: Row, as_of: datetime | None = None, **other: Any) -> str:
        """Log a prediction of a row as it is, some values of it otherwise."""
        values = {name: value for name, value in row.values().items() if name in NAMES}
        values["gust"] = None if row.gust is None else float(pa.scalar(row.gust, pa.float32()).as_py())
        return self.answer(as_of or at(row.event + 0.1), values | other, at(row.event))

    def answers(self, rows: Sequence[Row], as_of: datetime) -> None:
        """Log one request for the newest row of each airport, as it is."""
        log = Journal(self.paths.state / "predictions" / "e", {"endpoint": "e", "release": "1"})
        slip = annotation.opened()
        columns = {name: [getattr(row, name) for row in rows] for name in NAMES}
        ages = {"reports": [(as_of - at(row.event)).total_seconds() for row in rows]}
        keys = {"airport": [row.airport for row in rows]}
        annotate(
            rows=len(rows),
            keys=keys,
            features=columns,
            ages=ages,
            as_of=[as_of] * len(rows),
            feature_service="weather_v1",
        )
        annotation.close()
        log.note("all", int(as_of.timestamp() * 1e9), 1000, "predict", 200, 1, b"{}", b"1", slip)
        log.flush()
        log.stop()

    def skew(self, limit: float = 0.0, tolerance: float = 0.0, **options: Any) -> Report:
        config = Config(endpoints=self.config.endpoints, skew=SkewConfig(limit=limit, tolerance=tolerance))
        return skew(self.state, self.paths, config, "e", "test", **options)


def causes(report: Report) -> dict[str, dict[str, int]]:
    """By feature, how many values differ for each cause."""
    return {
        one.feature.removeprefix("reports__"): {reason.cause: reason.count for reason in one.reasons}
        for one in report.differences
    }


@pytest.fixture
def served(project: Path, state: StateStore) -> Served:
    made = Served(project, state)
    made.apply()
    return made
