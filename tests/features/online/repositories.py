"""Feast repositories with the same definitions over different online stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BOX = "boxplat.features.BoxOnlineStore"
SETTINGS = """
project: tiny
provider: local
registry: data/registry.db
offline_store: {{type: duckdb}}
online_store: {{type: {type}, path: data/online{clock}}}
entity_key_serialization_version: 3
"""
DEFINITIONS = """
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import (
    Array, Bool, Bytes, Decimal, Float32, Float64, Int32, Int64, Json, Map, Set, String, UnixTimestamp, Uuid,
)

TYPES = {
    "whole": Int64, "short": Int32, "real": Float64, "single": Float32, "yes": Bool, "text": String, "raw": Bytes,
    "at": UnixTimestamp, "exact": Decimal, "id": Uuid, "doc": Json, "map": Map,
    "wholes": Array(Int64), "reals": Array(Float64), "texts": Array(String), "raws": Array(Bytes), "flags": Array(Bool),
    "times": Array(UnixTimestamp), "some": Set(Int64), "words": Set(String),
}

def source(name):
    return FileSource(name=name, path=f"data/{name}.parquet", timestamp_field="ts", created_timestamp_column="made")

user = Entity(name="user", value_type=ValueType.INT64)
shop = Entity(name="shop_entity", join_keys=["shop"], value_type=ValueType.STRING)
keys = [Field(name="user", dtype=Int64), Field(name="shop", dtype=String)]
values = [Field(name=name, dtype=dtype) for name, dtype in TYPES.items()]

wide = FeatureView(name="wide", entities=[user], ttl=timedelta(0), schema=[keys[0], *values], source=source("wide"))
pair = FeatureView(
    name="pair", entities=[user, shop], ttl=timedelta(0), schema=[*keys, Field(name="spent", dtype=Float64)],
    source=source("pair"),
)
recent = FeatureView(
    name="recent", entities=[user], ttl=timedelta(hours=1),
    schema=[keys[0], Field(name="clicks", dtype=Int64), Field(name="note", dtype=String)],
    source=PushSource(name="clicks_push", batch_source=source("recent")),
)
common = FeatureView(
    name="common", entities=[], ttl=timedelta(0), schema=[Field(name="rate", dtype=Float64)], source=source("common")
)
bonus = RequestSource(name="bonus", schema=[Field(name="extra", dtype=Float64)])

@on_demand_feature_view(sources=[pair, bonus], schema=[Field(name="total", dtype=Float64)], mode="pandas")
def summed(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"total": inputs["spent"] + inputs["extra"]})

@on_demand_feature_view(
    entities=[user], sources=[recent], schema=[Field(name="user", dtype=Int64), Field(name="doubled", dtype=Int64)],
    mode="python", write_to_online_store=True,
)
def kept(inputs):
    return {"doubled": [2 * clicks for clicks in inputs["clicks"]]}

plain_v1 = FeatureService(name="plain_v1", features=[recent, pair[["spent"]], common])
trips_v1 = FeatureService(
    name="trips_v1",
    features=[
        recent[["clicks"]].with_name("buyer").with_join_key_map({"user": "buyer_id"}),
        recent[["clicks"]].with_name("seller").with_join_key_map({"user": "seller_id"}),
    ],
)
summed_v1 = FeatureService(name="summed_v1", features=[recent, summed])
ready_v1 = FeatureService(name="ready_v1", features=[recent, common], precompute_online=True)
"""
Rows = Sequence[tuple[Mapping[str, Any], Mapping[str, Any], datetime]]


def make(folder: Path, kind: str = BOX, clock: str = "") -> Any:
    """A repository, registered. `kind`: the type of its online store."""
    from feast import FeatureStore

    (folder / "data").mkdir(parents=True)
    extra = f", clock: {clock}" if clock else ""
    (folder / "feature_store.yaml").write_text(SETTINGS.format(type=kind, clock=extra))
    (folder / "definitions.py").write_text(DEFINITIONS)
    store = FeatureStore(repo_path=str(folder))
    store.apply(objects(folder))
    return store


def objects(folder: Path) -> list[Any]:
    """What the definitions define, made anew: Feast changes the objects that it is given."""
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView

    space: dict[str, Any] = {"__name__": "definitions"}
    exec(compile((folder / "definitions.py").read_text(), str(folder / "definitions.py"), "exec"), space)
    kinds = (Entity, FeatureView, OnDemandFeatureView, FeatureService)
    return [value for name, value in space.items() if isinstance(value, kinds) and not name.startswith("_")]


def write(store: Any, view: str, rows: Rows) -> None:
    """Rows of keys, values and an event time as messages, the way Feast's engines hand them to an online store."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.type_map import python_values_to_proto_values

    found = store.registry.get_any_feature_view(view, store.project)
    types = {field.name: field.dtype.to_value_type() for field in (*found.entity_columns, *found.features)}

    def message(name: str, value: Any) -> Any:
        return python_values_to_proto_values([value], types[name])[0]

    data = [
        (
            EntityKey(
                join_keys=sorted(keys) or ["__dummy_id"],
                entity_values=[message(name, keys[name]) for name in sorted(keys)] or [message("__dummy_id", "")],
            ),
            {name: message(name, value) for name, value in values.items()},
            moment,
            None,
        )
        for keys, values, moment in rows
    ]
    store.provider.online_write_batch(store.config, found, data, None)


def ago(**spans: float) -> datetime:
    """A whole second so long ago: Feast's own stores keep no parts of it."""
    return (datetime.now(UTC) - timedelta(**spans)).replace(microsecond=0)
