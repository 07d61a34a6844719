"""Every kind of view, key and type that a request can meet. Plain Feast definitions, for Feast's stores and ours."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import (
    Array,
    Bool,
    Bytes,
    Decimal,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Map,
    Set,
    String,
    UnixTimestamp,
    Uuid,
)

HERE = Path(__file__).parent
FOR_EVER = timedelta(0)
TYPES = {
    "i32": Int32,
    "i64": Int64,
    "f32": Float32,
    "f64": Float64,
    "flag": Bool,
    "text": String,
    "raw": Bytes,
    "at": UnixTimestamp,
    "i64s": Array(Int64),
    "f32s": Array(Float32),
    "f64s": Array(Float64),
    "texts": Array(String),
    "flags": Array(Bool),
    "raws": Array(Bytes),
    "ats": Array(UnixTimestamp),
    "uid": Uuid,
    "dec": Decimal,
    "doc": Json,
    "map": Map,
    "tags": Set(String),
}

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
place = Entity(name="place", join_keys=["location_id"], value_type=ValueType.INT64)
KEYS = {"driver": ("driver_id", Int64), "city": ("city", String), "place": ("location_id", Int64)}


def source(name: str) -> FileSource:
    """A Parquet file beside this one."""
    return FileSource(
        name=f"{name}_rows",
        path=str(HERE / f"{name}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )


def view(name: str, entities: list[Entity], ttl: timedelta = FOR_EVER, **features: object) -> FeatureView:
    """A view over its own file."""
    keys = [Field(name=KEYS[entity.name][0], dtype=KEYS[entity.name][1]) for entity in entities]
    fields = [Field(name=feature, dtype=dtype) for feature, dtype in features.items()]
    return FeatureView(name=name, entities=entities, ttl=ttl, schema=keys + fields, source=source(name))


every = view("every", [driver], **TYPES)
cities = view("cities", [city], n=Int64)
short = view("short", [driver], timedelta(hours=1), n=Int64)
pairs = view("pairs", [driver, city], trips=Int64)
world = view("world", [], rate=Float64)
places = view("places", [place], temp=Float64)

rides_pushed = PushSource(name="rides_pushed", batch_source=source("rides"))
rides = FeatureView(
    name="rides",
    entities=[driver],
    ttl=FOR_EVER,
    schema=[
        Field(name="driver_id", dtype=Int64),
        Field(name="km", dtype=Float64),
        Field(name="count", dtype=Int64),
        Field(name="seen", dtype=UnixTimestamp),
        Field(name="blob", dtype=Bytes),
    ],
    source=rides_pushed,
)


@on_demand_feature_view(
    sources=[rides, RequestSource(name="asked", schema=[Field(name="add", dtype=Int64)])],
    schema=[Field(name="sum", dtype=Int64)],
)
def summed(inputs: pd.DataFrame) -> pd.DataFrame:
    """A transformation, which needs Feast."""
    return pd.DataFrame({"sum": inputs["count"] + inputs["add"]})


services = [
    FeatureService(name="all_types", features=[every]),
    FeatureService(name="mixed", features=[every[["i64", "f32"]], cities, pairs, world]),
    FeatureService(
        name="trip",
        features=[
            places.with_name("from_place").with_join_key_map({"location_id": "from_id"}),
            places.with_name("to_place").with_join_key_map({"location_id": "to_id"}),
        ],
    ),
    FeatureService(name="sums", features=[rides[["count"]], summed]),
]
all_types, mixed, trip, sums = services
