"""The engine behind Feast's own calls: plain views by us, everything else by Feast's engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import BatchFeatureView, Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.infra.common.materialization_job import MaterializationTask
from feast.types import Float64, Int64, String

from boxplat.core.errors import BoxError
from boxplat.features.online.plugin import rows_store

from .conftest import BASE_US, times, write
from .repository import BEGINNING, END, opened, read

AIRPORT = Entity(name="airport", join_keys=["code"], value_type=ValueType.STRING)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Two reports of JFK, one of LGA, an hour apart."""
    return write(
        tmp_path / "reports.parquet",
        {
            "station": pa.array(["JFK", "LGA", "JFK"]),
            "at": times([BASE_US, BASE_US + 1, BASE_US + 3_600_000_000]),
            "created": times([BASE_US, BASE_US, BASE_US]),
            "wind_kt": pa.array([1.5, float("nan"), None]),
            "seen": pa.array([1, 2**53 + 1, 2**53 + 3]),
        },
    )


def source_of(path: Path, **more: Any) -> FileSource:
    mapping = {"station": "code", "wind_kt": "wind", "at": "event"}
    return FileSource(
        name=f"{path.stem}_rows",
        path=str(path),
        timestamp_field="event",
        created_timestamp_column="created",
        field_mapping=mapping,
        **more,
    )


def view_of(source: Any, name: str = "reports", kind: type = FeatureView, **more: Any) -> Any:
    schema = [Field(name="code", dtype=String), Field(name="wind", dtype=Float64), Field(name="seen", dtype=Int64)]
    settings = {
        "name": name,
        "entities": [AIRPORT],
        "ttl": timedelta(0),
        "schema": schema,
        "source": source,
        "online": True,
    }
    return kind(**{**settings, **more})


def test_mapped_columns_and_exact_values(tmp_path: Path, reports: Path) -> None:
    """Field mapping on key, time and feature; an integer beyond 2^53 and NaN stay what they are."""
    store = opened(tmp_path)
    store.apply([AIRPORT, view_of(source_of(reports))])
    store.materialize(BEGINNING, END)
    found = read(store, ["reports:wind", "reports:seen"], [{"code": "JFK"}, {"code": "LGA"}, {"code": "EWR"}])
    assert found["seen"] == [2**53 + 3, 2**53 + 1, None]
    assert found["wind"][0] is None and found["wind"][1] != found["wind"][1] and found["wind"][2] is None
    assert store.get_feature_view("reports").materialization_intervals == [(BEGINNING, END)]


def test_both_ends_of_the_range_belong_to_it(tmp_path: Path, reports: Path) -> None:
    store = opened(tmp_path)
    store.apply([AIRPORT, view_of(source_of(reports))])
    first = datetime.fromtimestamp(BASE_US / 1e6, UTC)
    store.materialize(first - timedelta(days=1), first - timedelta(microseconds=1))
    assert read(store, ["reports:seen"], [{"code": "JFK"}])["seen"] == [None]
    store.materialize(first, first)
    assert read(store, ["reports:seen"], [{"code": "JFK"}, {"code": "LGA"}])["seen"] == [1, None]
    store.materialize_incremental(first + timedelta(hours=1))
    assert read(store, ["reports:seen"], [{"code": "JFK"}, {"code": "LGA"}])["seen"] == [2**53 + 3, 2**53 + 1]


def test_late_data_do_not_replace_newer(tmp_path: Path, reports: Path) -> None:
    """Stock Feast lets whatever is loaded last win."""
    store = opened(tmp_path)
    store.apply([AIRPORT, view_of(source_of(reports))])
    store.materialize(BEGINNING, END)
    store.materialize(BEGINNING, datetime.fromtimestamp(BASE_US / 1e6, UTC))
    assert read(store, ["reports:seen"], [{"code": "JFK"}])["seen"] == [2**53 + 3]


def test_disabled_event_timestamp_means_all_there_is(tmp_path: Path, reports: Path) -> None:
    store = opened(tmp_path)
    store.apply([AIRPORT, view_of(source_of(reports))])
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    store.materialize(moment, moment, disable_event_timestamp=True)
    expected = [2**53 + 3 if datetime.now(UTC).timestamp() * 1e6 > BASE_US + 3_600_000_000 else None]
    assert read(store, ["reports:seen"], [{"code": "JFK"}])["seen"] == expected


def test_every_view_of_one_call(tmp_path: Path, reports: Path) -> None:
    """A push source's batch source, and a view without entities; a bar for each view only where somebody looks."""
    store = opened(tmp_path)
    push = PushSource(name="pushed", batch_source=source_of(reports))
    alone = FeatureView(
        name="whole", entities=[], ttl=timedelta(0), schema=[Field(name="seen", dtype=Int64)], source=source_of(reports)
    )
    store.apply([AIRPORT, view_of(push, "pushed_reports"), alone])
    store.materialize(BEGINNING, END)
    assert read(store, ["pushed_reports:seen"], [{"code": "LGA"}])["seen"] == [2**53 + 1]
    assert read(store, ["whole:seen"], [{}])["seen"] == [2**53 + 3]


def test_a_view_that_fails_does_not_stop_the_others(tmp_path: Path, reports: Path) -> None:
    """The one with a missing column is named, is as it was, and its registry state allows another try."""
    store = opened(tmp_path)
    broken = view_of(
        source_of(reports), "broken", schema=[Field(name="code", dtype=String), Field(name="wnid", dtype=Float64)]
    )
    gone = view_of(source_of(tmp_path / "gone.parquet"), "gone")
    store.apply([AIRPORT, broken, gone, view_of(source_of(reports))])
    for _ in range(2):
        with pytest.raises(BoxError, match="cannot materialize broken") as caught:
            store.materialize(BEGINNING, END)
        assert "'wnid'" in caught.value.why and "wind" in caught.value.why and "box features" in caught.value.fix
        assert "cannot materialize gone" in caught.value.why
    assert read(store, ["reports:seen"], [{"code": "LGA"}])["seen"] == [2**53 + 1]
    assert store.get_feature_view("broken").materialization_intervals == []
    assert len(store.get_feature_view("reports").materialization_intervals) == 2


@pytest.mark.filterwarnings("ignore:Batch feature views")
def test_a_transformation_is_done_by_feast(tmp_path: Path, reports: Path) -> None:
    """What a batch view computes goes through Feast's engine into our store."""
    twice = BatchFeatureView(
        name="twice",
        entities=[AIRPORT],
        mode="python",
        ttl=timedelta(0),
        schema=[Field(name="code", dtype=String), Field(name="double_seen", dtype=Int64)],
        source=source_of(reports),
        online=True,
        udf=_twice,
        udf_string="",
    )
    store = opened(tmp_path)
    store.apply([AIRPORT, twice])
    store.materialize(BEGINNING, END)
    assert read(store, ["twice:double_seen"], [{"code": "LGA"}])["double_seen"] == [2 * (2**53 + 1)]
    # How far it is loaded is known as for any other view: life times and freshness may be measured by it.
    assert rows_store(store.config).watermark_us("twice") == int(END.timestamp()) * 1_000_000


def _twice(rows: Any) -> Any:
    rows = rows.copy()
    rows["double_seen"] = rows["seen"] * 2
    return rows


def test_another_online_store(tmp_path: Path, reports: Path) -> None:
    store = opened(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    store.apply([AIRPORT, view_of(source_of(reports))])
    store.materialize(BEGINNING, END)
    assert read(store, ["reports:seen"], [{"code": "LGA"}])["seen"] == [2**53 + 1]


def test_progress_bar_is_given_the_rows(tmp_path: Path, reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    seen: list[Any] = []

    class Bar:
        def __init__(self, total: int) -> None:
            seen.append(total)

        def update(self, done: int) -> None:
            seen.append(done)

        def close(self) -> None:
            seen.append("closed")

    store = opened(tmp_path)
    store.apply([AIRPORT, view_of(source_of(reports))])
    task = MaterializationTask("tiny", store.get_feature_view("reports"), BEGINNING, END, tqdm_builder=Bar)
    (job,) = store.provider.batch_engine.materialize(store.registry, task)
    assert job.status().name == "SUCCEEDED" and job.error() is None
    assert seen == [3, 3, "closed"]
