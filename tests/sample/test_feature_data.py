"""The features of the real data: the training table against a join written here, life times, ranges."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from flights import training_set
from flights.paths import quoted
from flights.training_set import LEAD, NUMERIC
from flights.views import COUNTS, SERVED, SERVICE, VIEWS, View

from tests.sample.conftest import Sample

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def training(featured: Sample) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 2})
    con.execute("set TimeZone = 'UTC'")
    table = quoted(featured.data / "training" / "training.parquet")
    con.execute(f"create view training as select * from read_parquet({table})")
    return con


def test_ranges_and_nulls_are_those_measured(training: duckdb.DuckDBPyConnection) -> None:
    found = training.execute(
        "select count(*), max(origin_waiting), max(origin_carrier_waiting), max(dest_waiting), min(origin_waiting) "
        "from training where y is not null"
    ).fetchall()
    assert found == [(335_601, 76, 33, 14, 0)]
    expected = {"origin_delay_60": 4.2, "origin_carrier_delay_180": 11.0, "dest_arrival_delay_240": 30.8}
    expected |= {"route_late_14d": 0.1, "flight_late_28d": 4.1, "pressure": 11.2, "wind_u": 2.6, "dpress": 18.7}
    shares = ", ".join(f"round(100 * avg(({name} is null)::int), 1)" for name in expected)
    row = training.execute(f"select {shares} from training where y is not null").fetchall()[0]
    assert dict(zip(expected, row, strict=True)) == expected
    assert len(NUMERIC) == 49 and not any("tail" in name or name in ("seats", "age") for name in NUMERIC)


def test_dead_weather_feed_is_missing_not_calm(training: duckdb.DuckDBPyConnection) -> None:
    last_day = training.execute(
        "select count(*), count(precip_6h), count(dpress), count(weather_age) from training "
        "where month = 12 and day = 31 and y is not null"
    ).fetchall()
    assert last_day == [(775, 0, 0, 0)]


def as_of_join(folder: Path, view: View, ttl: int) -> str:
    """SQL: the columns of one view for each flight in `target`, as of T, void when older than `ttl` minutes."""
    t = f"make_timestamptz((t.sched - {LEAD})::bigint * 60000000)"
    on = " and ".join(f"t.{key} = v.{key}" for key in view.keys)
    alive = f"{t} <= v.event_timestamp + interval {ttl} minute"
    columns = ", ".join(f"case when {alive} then v.{column} end as {column}" for column in view.columns)
    rows = f"read_parquet({quoted(folder / f'{view.name}.parquet')})"
    return f"select t.id, {columns} from target t asof left join {rows} v on {on} and {t} >= v.event_timestamp"


def test_life_times_change_no_window(featured: Sample, training: duckdb.DuckDBPyConnection) -> None:
    """A view's life time is at least its longest window, so it only voids windows that are empty anyway."""
    training.execute("create or replace table target as select *, 'nyc' as network from training where id % 9 = 0")
    for view in SERVED:
        if view.name in ("origin_weather", "flight_schedule"):
            continue
        joined = as_of_join(featured.data / "features", view, 10**8)
        differ = " or ".join(
            f"coalesce(j.{column}, 0) <> t.{column}" if column in COUNTS else f"j.{column} is distinct from t.{column}"
            for column in view.columns
        )
        sql = f"select count(*) from ({joined}) j join target t using (id) where {differ}"
        assert training.execute(sql).fetchall() == [(0,)], view.name


def test_the_training_table_is_the_join_of_the_rows(featured: Sample, training: duckdb.DuckDBPyConnection) -> None:
    """Feast, through boxplat's offline store, against DuckDB's own as-of join: every flight, view and feature."""
    keys = "id, sched, carrier, flight, origin, dest, 'nyc' as network"
    training.execute(f"create or replace table target as select {keys} from training")
    for view in SERVED:
        joined = as_of_join(featured.data / "features", view, view.ttl)
        made = training_set.inputs(view.columns)
        names = ", ".join("weather_age" if column == "weather_known_at" else column for column in view.columns)
        ours = f"select id, {made} from ({joined}) join target using (id)"
        theirs = f"select id, {names} from training"
        for one, other in ((ours, theirs), (theirs, ours)):
            assert training.execute(f"select count(*) from ({one} except all {other})").fetchall() == [(0,)], view.name


def test_definitions_agree_with_the_rows(featured: Sample) -> None:
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(featured.root / "feature_repo"))
    declared = {view.name: view for view in store.list_feature_views()}
    assert set(declared) == {view.name for view in VIEWS}
    for view in VIEWS:
        assert set(declared[view.name].join_keys) == set(view.keys), view.name
        assert tuple(feature.name for feature in declared[view.name].features) == view.columns
        assert declared[view.name].ttl == timedelta(minutes=view.ttl)
    service = store.get_feature_service(SERVICE)
    assert [projection.name for projection in service.feature_view_projections] == [view.name for view in SERVED]


def test_a_second_run_changes_nothing(featured: Sample) -> None:
    before = {path: path.stat().st_mtime_ns for path in featured.data.rglob("*.parquet")}
    assert "unchanged since the last run" in featured.must("ingest")
    again = featured.must("features")
    assert "features unchanged" in again and "online store already at" in again
    assert before == {path: path.stat().st_mtime_ns for path in featured.data.rglob("*.parquet")}


def test_features_without_data_say_what_to_run(tmp_path: Path) -> None:
    from flights import feature_rows

    with pytest.raises(FileNotFoundError, match=r"run flows/ingest\.py first"):
        feature_rows.build(tmp_path / "raw", tmp_path / "features")
