"""The features of the real data: Feast's own join, the truncation check, life times, ranges."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from flights import online, training_set, truncation
from flights.paths import quoted
from flights.training_set import NUMERIC
from flights.views import COUNTS, SERVED, SERVICE, VIEWS

from tests.sample.conftest import Sample

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def training(featured: Sample) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 2})
    con.execute("set TimeZone = 'UTC'")
    table = quoted(featured.data / "features" / "training.parquet")
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


def test_life_times_change_no_window(featured: Sample, training: duckdb.DuckDBPyConnection) -> None:
    """A view's life time is at least its longest window, so it only voids windows that are empty anyway."""
    training.execute("create table target as select *, 'nyc' as network from training where id % 9 = 0")
    for view in SERVED:
        if view.name in ("origin_weather", "flight_schedule"):
            continue
        for_ever = type(view)(view.name, view.keys, 10**8, view.columns, view.sql)
        rows = training_set.view_rows(featured.data / "features", view)
        joined = training_set.as_of_join(for_ever, rows)
        differ = " or ".join(
            f"coalesce(j.{column}, 0) <> t.{column}" if column in COUNTS else f"j.{column} is distinct from t.{column}"
            for column in view.columns
        )
        sql = f"select count(*) from ({joined}) j join target t using (id) where {differ}"
        assert training.execute(sql).fetchall() == [(0,)], view.name


def test_feast_joins_the_same_values(featured: Sample, training: duckdb.DuckDBPyConnection) -> None:
    from feast import FeatureStore

    expected = training.execute("select * from training order by hash(id), id limit 300").df()
    entities = expected[["carrier", "flight", "origin", "dest", "sched", "event_timestamp", "id"]].assign(network="nyc")
    store = FeatureStore(repo_path=str(featured.root / "feature_repo"))
    joined = store.get_historical_features(entities, store.get_feature_service(SERVICE)).to_df()
    online.drop_default_backend()
    joined["weather_age"] = joined["sched"] - training_set.LEAD - joined["weather_known_at"]
    joined = joined.set_index("id").loc[expected["id"]]
    for name in NUMERIC:
        ours, theirs = expected[name].to_numpy(float), joined[name].to_numpy(float)
        np.testing.assert_array_equal(ours, np.nan_to_num(theirs) if name in COUNTS else theirs, err_msg=name)


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


def test_nothing_known_after_t_is_used(featured: Sample) -> None:
    result = truncation.check(featured.data / "raw", featured.data / "features", flights=20)
    assert result.mismatches == []
    assert (result.flights, result.values) == (20, 980)
    assert all(share > 0.9 for share in result.controls.values()), result.controls
    assert result.passed


def test_truncation_notices_a_leak(featured: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Departures that count half an hour before they happen must be found."""
    early = truncation.events.SOURCES["departures"].replace("dep as ts", "dep - 30 as ts")
    monkeypatch.setitem(truncation.events.SOURCES, "departures", early)
    result = truncation.check(featured.data / "raw", featured.data / "features", flights=2)
    assert any("_delay_" in name or "_departures_" in name for _, name, _, _ in result.mismatches)
    assert not result.passed


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
