"""Historical features through an unmodified `FeatureStore.get_historical_features`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError, ExitCode

from .conftest import Made, at, table, write

BIG = 2**53 + 1
FEATURES = ["speeds:speed", "speeds:seen", "speeds:grade_y", "places:select", "world:Mood of `all`"]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repo")
    write(
        root / "speeds.parquet",
        {
            "driver_no": [1, 1, 1, 2, None],
            "moment": [at(0), at(2), at(2), at(1), at(0)],
            "made": [at(0), at(2), None, at(9), at(0)],
            "raw": [10.0, 20.0, 99.0, 30.0, 77.0],
            "seen": pa.array([BIG, None, 5, 7, 8], pa.int64()),
            "grade_y": ["a", "b", "c", "d", "e"],
        },
    )
    write(
        root / "places.parquet", {"place": ["x", "y"], "event_timestamp": [at(0), at(0)], "select": ["here", "there"]}
    )
    write(root / "world.parquet", {"event_timestamp": [at(0), at(3)], "Mood of `all`": ["good", 'so "so"']})
    return root


@pytest.fixture(scope="module")
def store(repo: Path, made: Made) -> Any:
    from feast import Entity, FeatureView, Field, FileSource, RequestSource, ValueType
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Float64, Int64, String

    driver = Entity(name="driver", value_type=ValueType.INT64)
    place = Entity(name="place", value_type=ValueType.STRING)
    speeds = FeatureView(
        name="speeds",
        entities=[driver],
        ttl=timedelta(hours=4),
        schema=[
            Field(name="driver", dtype=Int64),
            Field(name="speed", dtype=Float64),
            Field(name="seen", dtype=Int64),
            Field(name="grade_y", dtype=String),
        ],
        source=FileSource(
            name="speed_rows",
            path="speeds.parquet",
            timestamp_field="when",
            created_timestamp_column="made",
            field_mapping={"moment": "when", "driver_no": "driver", "raw": "speed"},
        ),
    )
    places = FeatureView(
        name="places",
        entities=[place],
        schema=[Field(name="place", dtype=String), Field(name="select", dtype=String)],
        source=FileSource(name="place_rows", path="places.parquet", timestamp_field="event_timestamp"),
    )
    world = FeatureView(
        name="world",
        entities=[],
        schema=[Field(name="Mood of `all`", dtype=String)],
        source=FileSource(name="world_rows", path="world.parquet", timestamp_field="event_timestamp"),
    )
    request = RequestSource(name="request", schema=[Field(name="extra", dtype=Float64)])

    @on_demand_feature_view(sources=[speeds, request], schema=[Field(name="sum", dtype=Float64)], mode="pandas")
    def sums(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"sum": inputs["speed"] + inputs["extra"]})

    return made(repo, [driver, place, speeds, places, world, sums])


@pytest.fixture
def entity() -> pa.Table:
    """Six rows: one at the tie, its double, one past the life time, one without a key, one before everything."""
    return table(
        {
            "driver": [2, 1, 1, 1, None, 1],
            "place": ["x", "y", None, "z", "x", "y"],
            "event_timestamp": [at(1), at(2), at(2), at(6.5), at(3), at(-1)],
            "label": [0, 1, 2, 3, 4, 5],
        }
    )


def test_every_row_gets_what_was_known_at_its_time(store: Any, entity: pa.Table) -> None:
    """Ties, a created time of NULL, TTL, NULL keys, a view without keys: worked out by hand."""
    found = store.get_historical_features(entity_df=entity.to_pandas(), features=FEATURES).to_arrow()
    assert found.column_names == [
        "driver",
        "place",
        "event_timestamp",
        "label",
        "speed",
        "seen",
        "grade_y",
        "select",
        "Mood of `all`",
    ]
    rows = found.drop_columns(["driver", "place", "event_timestamp"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (0, 30.0, 7, "d", "here", "good"),
        (1, 20.0, None, "b", "there", "good"),
        (2, 20.0, None, "b", None, "good"),
        (3, None, None, None, None, 'so "so"'),
        (4, None, None, None, "here", 'so "so"'),
        (5, None, None, None, None, None),
    ]


@pytest.mark.parametrize(
    "kind", ["pandas", "table", "batch", "reader", "polars", "lazy", "text path", "path", "sql", "sql of files"]
)
def test_every_kind_of_entity_rows_gives_the_same(store: Any, repo: Path, entity: pa.Table, kind: str) -> None:
    """Feast itself lets all of them through to the store; none is changed by it."""
    import polars as pl

    path = repo / "entity.parquet"
    pq.write_table(entity, path)
    values = "(VALUES (1, TIMESTAMPTZ '2026-01-01 02:00:00+00')) t(driver, event_timestamp)"
    given: Any = {
        "pandas": lambda: entity.to_pandas(types_mapper=pd.ArrowDtype),
        "table": lambda: entity,
        "batch": lambda: entity.to_batches()[0],
        "reader": lambda: entity.to_reader(),
        "polars": lambda: pl.from_arrow(entity),
        "lazy": lambda: pl.from_arrow(entity).lazy(),
        "text path": lambda: "entity.parquet",
        "path": lambda: path,
        "sql": lambda: f"SELECT * FROM {values};",
        "sql of files": lambda: f"SELECT * FROM '{path}'",
    }[kind]()
    before = given.copy(deep=True) if kind == "pandas" else None
    job = store.get_historical_features(entity_df=given, features=["speeds:speed", "world:Mood of `all`"])
    first, again = job.to_arrow(), job.to_arrow()
    assert first.equals(again)
    speeds = [20.0] if kind == "sql" else [30.0, 20.0, 20.0, None, None, None]
    assert first.column("speed").to_pylist() == speeds
    batches = list(job.to_arrow_reader(2))
    assert max(batch.num_rows for batch in batches) <= 2 and pa.Table.from_batches(batches).equals(first)
    assert job.to_parquet("out.parquet") == len(speeds)
    assert job.metadata.max_event_timestamp == (at(2) if kind == "sql" else at(6.5))
    assert pq.read_table(repo / "out.parquet").column("speed").to_pylist() == speeds
    if before is not None:
        pd.testing.assert_frame_equal(given, before)


def test_statement_gives_what_the_join_gives(store: Any, repo: Path, entity: pa.Table) -> None:
    import duckdb

    pq.write_table(entity, repo / "entity.parquet")
    job = store.get_historical_features(entity_df=f"FROM '{repo / 'entity.parquet'}'", features=FEATURES)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        assert con.sql(job.to_sql()).to_arrow_table().to_pylist() == job.to_arrow().to_pylist()
    with pytest.raises(BoxError, match="no SQL statement"):
        store.get_historical_features(entity_df=entity, features=FEATURES).to_sql()


def test_without_entity_rows_every_key_and_time_once(store: Any) -> None:
    """The views' own rows in the range, both ends in it; two created times of one event are one row."""
    job = store.get_historical_features(features=["speeds:speed"], start_date=at(1), end_date=at(2))
    assert job.to_arrow().select(["driver", "event_timestamp", "speed"]).to_pylist() == [
        {"driver": 2, "event_timestamp": at(1), "speed": 30.0},
        {"driver": 1, "event_timestamp": at(2), "speed": 20.0},
    ]
    assert (job.metadata.min_event_timestamp, job.metadata.max_event_timestamp) == (at(1), at(2))
    both = store.get_historical_features(features=["speeds:speed", "places:select"], start_date=at(0), end_date=at(2))
    rows = both.to_arrow().select(["driver", "place", "speed", "select"]).to_pylist()
    assert {"driver": None, "place": "x", "speed": None, "select": "here"} in rows and len(rows) == 5


def test_aliases_join_one_view_twice(store: Any) -> None:
    from feast import FeatureService

    view = store.get_feature_view("places")
    service = FeatureService(
        name="trip",
        features=[
            view.with_name("origin").with_join_key_map({"place": "origin_place"}),
            view.with_name("goal").with_join_key_map({"place": "goal_place"}),
        ],
    )
    store.apply(service)
    rows = table({"origin_place": ["x"], "goal_place": ["y"], "event_timestamp": [at(1)]})
    found = store.get_historical_features(rows, store.get_feature_service("trip"), full_feature_names=True).to_arrow()
    assert found.select(["origin__select", "goal__select"]).to_pylist() == [
        {"origin__select": "here", "goal__select": "there"}
    ]


def test_on_demand_views_in_every_form(store: Any, repo: Path, entity: pa.Table) -> None:
    """Feast applies them to whole tables only; a stream and a file must have them too."""
    rows = entity.append_column("extra", pa.array([1.0] * 6))
    job = store.get_historical_features(entity_df=rows, features=["sums:sum", "speeds:speed"])
    sums = [31.0, 21.0, 21.0, None, None, None]
    assert job.to_arrow().column("sum").to_pylist() == sums
    assert job.to_arrow_reader(2).read_all().column("sum").to_pylist() == sums
    assert job.to_parquet(repo / "demand.parquet") == 6
    assert pq.read_table(repo / "demand.parquet").column("sum").to_pylist() == sums
    with pytest.raises(BoxError, match="'extra'"):
        store.get_historical_features(entity_df=entity, features=["sums:sum"])


def test_integers_with_nulls_stay_exact(store: Any, entity: pa.Table) -> None:
    """pandas would round 2^53 + 1; where nothing is rounded its float64 is kept, as Feast's users know it."""
    rows = table({"driver": [1, 5], "event_timestamp": [at(1), at(1)]})
    job = store.get_historical_features(entity_df=rows, features=["speeds:seen"])
    assert job.to_arrow().column("seen").to_pylist() == [BIG, None]
    assert str(job.to_df()["seen"].dtype) == "Int64" and job.to_df()["seen"][0] == BIG
    small = store.get_historical_features(
        entity_df=table({"driver": [2, 5], "event_timestamp": [at(1), at(1)]}), features=["speeds:seen"]
    ).to_df()
    assert str(small["seen"].dtype) == "float64" and small["seen"][0] == 7


def test_values_created_later_can_be_left_out(store: Any) -> None:
    rows = table({"driver": [2, 1], "event_timestamp": [at(2), at(2)]})
    found = store.get_historical_features(rows, ["speeds:speed"], filter_by_created_timestamp=True).to_arrow()
    assert found.column("speed").to_pylist() == [None, 20.0]


def test_tensors(store: Any, entity: pa.Table) -> None:
    import torch

    found = store.get_historical_features(entity, ["speeds:speed", "places:select"]).to_tensor(default_value=-1.0)
    assert found["label"].dtype == torch.int64 and found["label"].tolist() == [0, 1, 2, 3, 4, 5]
    assert found["speed"].dtype == torch.float32 and found["speed"].tolist() == [30.0, 20.0, 20.0, -1.0, -1.0, -1.0]
    assert found["select"] == ["here", "there", -1.0, -1.0, "here", -1.0]


@pytest.mark.parametrize(
    ("columns", "features", "words"),
    [
        ({"driver": [1], "event_timestamp": [at(1)], "speed": [1.0]}, ["speeds:speed"], "two columns 'speed'"),
        ({"Driver": [1], "event_timestamp": [at(1)]}, ["speeds:speed"], "no column 'driver' (did you mean 'Driver'?)"),
        ({"driver": [1]}, ["speeds:speed"], "cannot tell the time"),
        ({"driver": [1], "a": [at(1)], "b": [at(1)]}, ["speeds:speed"], "cannot tell the time"),
        ({"driver": ["x"], "event_timestamp": [at(1)]}, ["speeds:speed"], "driver"),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_words(
    store: Any, columns: dict[str, Any], features: list[str], words: str
) -> None:
    with pytest.raises(BoxError) as caught:
        store.get_historical_features(table(columns), features).to_arrow()
    assert words in str(caught.value) and caught.value.fix and caught.value.code == ExitCode.USAGE


@pytest.mark.parametrize("given", [object(), "SELECT nothing FROM nowhere", 7])
def test_what_is_no_entity_rows_is_refused(store: Any, given: Any) -> None:
    with pytest.raises(BoxError, match="cannot use these entity rows"):
        store.get_historical_features(given, ["speeds:speed"])


@pytest.mark.parametrize("form", ["pandas", "arrow"])
def test_a_column_twice_is_refused_by_its_name(store: Any, entity: pa.Table, form: str) -> None:
    twice = entity.append_column("label", entity["label"])
    given: Any = twice
    if form == "pandas":
        import pandas as pd

        given = pd.concat([entity.to_pandas(), entity.select(["label"]).to_pandas()], axis=1)
    with pytest.raises(BoxError, match="cannot use these entity rows") as caught:
        store.get_historical_features(given, ["speeds:speed"]).to_arrow()
    assert "several columns are named label" in (caught.value.why or "")


def test_a_range_that_ends_before_it_starts(store: Any) -> None:
    with pytest.raises(BoxError, match="starts after its end") as caught:
        store.get_historical_features(features=["speeds:speed"], start_date=at(2), end_date=at(1))
    assert caught.value.code == ExitCode.USAGE


def test_empty_entity_rows_give_an_empty_result(store: Any, entity: pa.Table) -> None:
    found = store.get_historical_features(entity.slice(0, 0), FEATURES).to_arrow()
    assert (found.num_rows, found.num_columns) == (0, 9) and found.schema.field("speed").type == pa.float64()


@pytest.mark.parametrize("reference", ["speeds:spede", "speds:speed"])
def test_unknown_features_are_named(store: Any, entity: pa.Table, reference: str) -> None:
    """Feast itself finds them before the store is asked."""
    with pytest.raises(Exception, match=r"spede|speds"):
        store.get_historical_features(entity, [reference]).to_arrow()
