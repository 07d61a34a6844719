"""A repository on all of boxplat's stores, with values that are easily spoilt, and four ways to read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from feast import FeatureStore

BIG = 2**53 + 1
WHEN = datetime(2026, 3, 1, 12, 0, 0, 123457, UTC)
BEFORE = datetime(1899, 12, 31, 23, 59, 59, 999999, UTC)
SETTINGS = """
project: exact
provider: local
registry: data/registry.db
offline_store: {type: boxplat.features.BoxOfflineStore}
online_store: {type: boxplat.features.BoxOnlineStore, path: data/online}
batch_engine: {type: boxplat.features.BoxComputeEngine}
entity_key_serialization_version: 3
"""
TYPES: dict[str, pa.DataType] = {
    "big": pa.int64(),
    "small": pa.int32(),
    "double": pa.float64(),
    "single": pa.float32(),
    "flag": pa.bool_(),
    "text": pa.string(),
    "blob": pa.binary(),
    "moment": pa.timestamp("us", "UTC"),
    "money": pa.decimal128(38, 10),
    "bigs": pa.list_(pa.int64()),
    "doubles": pa.list_(pa.float64()),
    "texts": pa.list_(pa.string()),
    "blobs": pa.list_(pa.binary()),
    "moments": pa.list_(pa.timestamp("us", "UTC")),
    "flags": pa.list_(pa.bool_()),
}
ROWS: dict[int, dict[str, Any]] = {
    1: {
        "big": BIG,
        "small": -(2**31),
        "double": float("nan"),
        "single": 0.5,
        "flag": False,
        "text": "naïve \x00 'quoted' \"\U0001f600",
        "blob": b"\x00\xff\x00",
        "moment": WHEN,
        "money": Decimal("1234567890123456789012345678.0123456789"),
        "bigs": [BIG, -BIG, 0],
        "doubles": [0.1, float("nan"), float("-inf")],
        "texts": ["", "a", "é"],
        "blobs": [b"", b"\x00"],
        "moments": [WHEN, BEFORE],
        "flags": [True, False],
    },
    2: dict.fromkeys(TYPES),
    3: {
        "big": -(2**63),
        "small": 0,
        "double": float("inf"),
        "single": -1.5,
        "flag": True,
        "text": "",
        "blob": b"",
        "moment": BEFORE,
        "money": Decimal("-0.0000000001"),
        "bigs": [],
        "doubles": [],
        "texts": [],
        "blobs": [],
        "moments": [],
        "flags": [],
    },
}
FEATURES = [f"exact:{name}" for name in TYPES]


def rows(values: dict[int, dict[str, Any]], moment: datetime) -> pa.Table:
    """Values by key as a table of the view's source."""
    stamps = pa.array([moment] * len(values), pa.timestamp("us", "UTC"))
    columns = {name: pa.array([row[name] for row in values.values()], type_) for name, type_ in TYPES.items()}
    return pa.table({"key": pa.array(values, pa.int64()), "event_timestamp": stamps, "created": stamps, **columns})


@dataclass(frozen=True)
class Everywhere:
    """The repository, opened by Feast; `moment` is the event time of the rows in its source."""

    store: FeatureStore
    repo: Path
    moment: datetime

    def offline(self, keys: list[int]) -> dict[str, list[Any]]:
        asked = pa.table({"key": keys, "event_timestamp": [self.moment + timedelta(seconds=1)] * len(keys)})
        found = self.store.get_historical_features(entity_df=asked, features=FEATURES).to_arrow()
        return {name: found[name].to_pylist() for name in TYPES}

    def online(self, keys: list[int]) -> dict[str, list[Any]]:
        answer = self.store.get_online_features(features=FEATURES, entity_rows=[{"key": key} for key in keys])
        found = answer.to_dict()
        return {name: found[name] for name in TYPES}

    def columns(self, keys: list[int]) -> dict[str, list[Any]]:
        """What code that trains from Arrow sees."""
        answer = self.store.get_online_features(features=FEATURES, entity_rows=[{"key": key} for key in keys])
        found = answer.to_arrow()
        return {name: found[name].to_pylist() for name in TYPES}

    def http(self, keys: list[int]) -> dict[str, list[Any]]:
        """The JSON answer of the feature server, its numbers as they are written."""
        sent = self.post("/get-online-features", {"features": FEATURES, "entities": {"key": keys}})
        answer = json.loads(sent, parse_float=Decimal)
        names = answer["metadata"]["feature_names"]
        values = {name: result["values"] for name, result in zip(names, answer["results"], strict=True)}
        return {name: values[name] for name in TYPES}

    def post(self, path: str, body: dict[str, Any]) -> str:
        """What the feature server answers, which must be a success."""
        from starlette.testclient import TestClient

        from boxplat.features.server.routes import application

        with TestClient(application(self.repo), base_url="http://127.0.0.1") as client:
            sent = client.post(path, json=body)
        assert sent.status_code == 200, sent.text
        return str(sent.text)


def made(folder: Path) -> Everywhere:
    """A new repository with the rows in its source, nothing materialized."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
    from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
    from feast.types import Decimal as Money

    dtypes = dict(zip(TYPES, [Int64, Int32, Float64, Float32, Bool, String, Bytes, UnixTimestamp, Money], strict=False))
    for name, inner in (("bigs", Int64), ("doubles", Float64), ("texts", String), ("blobs", Bytes)):
        dtypes[name] = Array(inner)
    dtypes |= {"moments": Array(UnixTimestamp), "flags": Array(Bool)}
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(SETTINGS)
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    source_path = folder / "data" / "exact.parquet"
    pq.write_table(rows(ROWS, moment), source_path)
    source = FileSource(
        name="exact_source",
        path=str(source_path),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    key = Entity(name="key", value_type=ValueType.INT64)
    view = FeatureView(
        name="exact",
        entities=[key],
        ttl=timedelta(days=1),
        schema=[Field(name="key", dtype=Int64), *(Field(name=name, dtype=dtypes[name]) for name in TYPES)],
        source=PushSource(name="pushed", batch_source=source),
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([key, view])
    return Everywhere(store, folder, moment)
