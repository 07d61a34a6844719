"""Kinds of files, settings, saved datasets and logs."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import connect
from boxplat.features.offline.append import append
from boxplat.features.offline.logs import log

from .conftest import Made, at, table, write

ROWS = {"key": [1, 2], "event_timestamp": [at(0), at(1)], "value": [10, 20]}


@pytest.fixture
def use(made: Made, tmp_path: Path) -> Any:
    """A store with one view `rows` over a path: (path, settings) → FeatureStore."""
    from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
    from feast.types import Int64

    def make(path: str, file_format: Any = None, **settings: Any) -> Any:
        files = FileSource(name="files", path=path, timestamp_field="event_timestamp", file_format=file_format)
        source = PushSource(name="push", batch_source=files)
        fields = [Field(name="key", dtype=Int64), Field(name="value", dtype=Int64)]
        key = Entity(name="key", value_type=ValueType.INT64)
        view = FeatureView(name="rows", entities=[key], ttl=timedelta(days=9), schema=fields, source=source)
        return made(tmp_path, [key, view], **settings)

    return make


def values(store: Any) -> list[Any]:
    entity = table({"key": [1, 2, 3], "event_timestamp": [at(9)] * 3})
    return store.get_historical_features(entity, ["rows:value"]).to_arrow().column("value").to_pylist()


@pytest.mark.parametrize("kind", ["file", "folder", "glob", "hive", "hive glob", "csv", "mixed"])
def test_every_kind_of_path(use: Any, tmp_path: Path, kind: str) -> None:
    """Relative to the repository, whatever the working directory; part files may differ in their columns."""
    whole = table(ROWS)
    if kind == "csv":
        from pyarrow import csv

        csv.write_csv(whole, tmp_path / "rows.csv")
    elif kind == "file":
        pq.write_table(whole, tmp_path / "rows.parquet")
    else:
        for index in range(2):
            part = whole.slice(index, 1)
            folder = tmp_path / "rows" / (f"value={part['value'][0]}" if "hive" in kind else "")
            folder.mkdir(parents=True, exist_ok=True)
            part = part.drop_columns("value") if "hive" in kind else part
            if kind == "mixed":
                part = (
                    part.select(["value", "key", "event_timestamp"]) if index else part.append_column("more", [["x"]])
                )
            pq.write_table(part, folder / f"{index}.parquet")
    paths = {"file": "rows.parquet", "glob": "rows/*.parquet", "hive glob": "rows/*/*.parquet", "csv": "rows.csv"}
    assert values(use(paths.get(kind, "rows"))) == [10, 20, None]


def test_pushed_rows_are_read_by_the_next_retrieval(use: Any, tmp_path: Path) -> None:
    """Through Feast's own push; the stock store, which knows no parts, still reads the old file."""
    import pandas as pd
    from feast.data_source import PushMode

    write(tmp_path / "rows.parquet", ROWS)
    store = use("rows.parquet")
    pushed = pd.DataFrame({"value": [30], "event_timestamp": [at(2)], "key": [3]})
    store.push("push", pushed, to=PushMode.OFFLINE)
    assert values(store) == [10, 20, 30]
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 2


def test_latest_and_all_rows_between_two_times(use: Any, tmp_path: Path) -> None:
    """Both ends included; equal event times: the greatest created time, NULL last, then what was written last."""
    made = {
        "key": [1, 1, 1, 2, 2, 2, 3, 3],
        "event_timestamp": [at(1), at(2), at(2), at(1), at(1), at(8), at(1), at(1)],
        "created": [at(9), at(3), None, None, at(1), at(1), at(1), at(1)],
        "value": [1, 2, 3, 4, 5, 6, 7, 8],
    }
    write(tmp_path / "rows.parquet", made)
    store = use("rows.parquet")
    offline, source = store._get_provider().offline_store, store.get_feature_view("rows").batch_source
    given = (store.config, source, ["key"], ["value"], "event_timestamp", "created", at(1), at(2))
    latest = offline.pull_latest_from_table_or_query(*given)
    assert sorted(latest.to_arrow().column("value").to_pylist()) == [2, 5, 8]
    assert sorted(latest.to_arrow_reader(2).read_all().column("value").to_pylist()) == [2, 5, 8]
    everything = offline.pull_all_from_table_or_query(*given)
    assert sorted(everything.to_df()["value"]) == [1, 2, 3, 4, 5, 7, 8]
    assert everything.to_parquet("all.parquet") == 7 and "SELECT" in everything.to_sql()
    with pytest.raises(BoxError, match="no column 'nothing'"):
        offline.pull_all_from_table_or_query(*given[:3], ["nothing"], *given[4:])


def test_times_of_every_type_mean_the_same(use: Any, tmp_path: Path) -> None:
    """Naive is UTC on a machine that is elsewhere; nanoseconds do not round up into the future."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    try:
        kinds = [pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.timestamp("s"), pa.string()]
        for index, kind in enumerate(kinds):
            moment = pa.array([at(0), at(1)], pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
            column = (
                moment.cast(kind)
                if not pa.types.is_timestamp(kind) or kind.tz is None
                else moment.cast(pa.timestamp("ns")).cast(kind)
            )
            write(tmp_path / f"{index}.parquet", {"key": [1, 2], "event_timestamp": column, "value": [10, 20]})
            store = use(f"{index}.parquet")
            assert values(store) == [10, 20, None], kind
            pulled = store._get_provider().offline_store.pull_latest_from_table_or_query(
                store.config, store.get_feature_view("rows").batch_source, ["key"], ["value"], "event_timestamp", None,
                at(0), at(0),
            )  # fmt: skip
            assert pulled.to_arrow().column("value").to_pylist() == [10], kind
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"memory_limit": "a lot"}, "memory_limit"),
        ({"settings": {"s3_regoin": "x"}}, "s3_regoin"),
        ({"settings": {"nothing_of_the_kind": True}}, "nothing_of_the_kind"),
    ],
)
def test_wrong_settings_are_named(use: Any, tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    write(tmp_path / "rows.parquet", ROWS)
    with pytest.raises(BoxError) as caught:
        values(use("rows.parquet", **settings))
    known = words in str(caught.value) or "httpfs" in str(caught.value)
    assert known and caught.value.code in (ExitCode.USAGE, ExitCode.PRECONDITION)


def test_unknown_keys_are_refused_by_name(tmp_path: Path) -> None:
    from feast.repo_config import load_repo_config

    offline = {"type": "boxplat.features.BoxOfflineStore", "memory_limt": "1GB"}
    text = {"project": "p", "provider": "local", "registry": "r.db", "offline_store": offline}
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump(text))
    with pytest.raises(Exception, match="memory_limt"):
        _ = load_repo_config(tmp_path, tmp_path / "feature_store.yaml").offline_store


def test_duckdb_has_the_given_limits(use: Any, tmp_path: Path) -> None:
    """Also in a cursor, which does not inherit what is set for a connection only."""
    write(tmp_path / "rows.parquet", ROWS)
    store = use(
        "rows.parquet", memory_limit="300MiB", threads=1, temp_directory="spill", settings={"max_memory": "200MiB"}
    )
    from boxplat.features.offline.plugin import limits

    with connect(limits(store.config)) as con:
        names = ("TimeZone", "threads", "temp_directory", "memory_limit")
        found = (
            con.cursor().execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}").fetchall()[0]
        )
    assert found == ("UTC", 1, str(tmp_path / "spill"), "200.0 MiB")


@pytest.mark.parametrize("kind", ["truncated", "missing", "no time", "no column", "text", "without extension"])
def test_sources_that_cannot_be_read(use: Any, tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "rows.parquet", ROWS)
    store = use("s3://bucket/rows.parquet" if kind == "without extension" else "rows.parquet")
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-30])
    elif kind == "missing":
        path.unlink()
    elif kind == "no time":
        write(path, {**ROWS, "event_timestamp": [1, 2]})
    elif kind == "no column":
        write(path, {"key": [1, 2], "event_timestamp": [at(0), at(1)], "valu": [1, 2]})
    elif kind == "text":
        write(path, {**ROWS, "value": ["10", "20"]})
    with pytest.raises(BoxError) as caught:
        values(store)
    assert caught.value.fix and caught.value.why
    words = {
        "truncated": "cannot read",
        "missing": "no Parquet file at",
        "no time": "type is BIGINT",
        "no column": "no column 'value' (did you mean 'valu'?)",
        "text": "is VARCHAR",
        "without extension": "httpfs",
    }
    assert words[kind] in str(caught.value)


def test_delta_without_its_package_says_what_to_install(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast.data_format import DeltaFormat

    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(BoxError, match="pip install deltalake"):
        values(use("table", file_format=DeltaFormat()))


@pytest.mark.parametrize("path", ["saved.parquet", "saved"])
def test_saved_dataset_comes_back_and_is_replaced_only_if_allowed(use: Any, tmp_path: Path, path: str) -> None:
    from feast.errors import SavedDatasetLocationAlreadyExists
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    write(tmp_path / "rows.parquet", ROWS)
    store = use("rows.parquet")
    for count in (2, 1):
        entity = table({"key": [1, 2][:count], "event_timestamp": [at(9)] * count})
        job = store.get_historical_features(entity, ["rows:value"])
        storage = SavedDatasetFileStorage(path=path)
        if count == 1:
            with pytest.raises(SavedDatasetLocationAlreadyExists):
                store.create_saved_dataset(job, "kept", storage)
        store.create_saved_dataset(job, "kept", storage, allow_overwrite=True)
        again = store.get_saved_dataset("kept").to_df()
        assert again["value"].tolist() == [10, 20][:count] and "key" in again


@pytest.mark.parametrize("partition_by", [None, ["__log_date"]])
@pytest.mark.parametrize("as_path", [True, False])
def test_logged_features_come_back(use: Any, tmp_path: Path, partition_by: list[str] | None, as_path: bool) -> None:
    from datetime import date

    from feast import FeatureService
    from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    write(tmp_path / "rows.parquet", ROWS)
    store = use("rows.parquet")
    destination = FileLoggingDestination(path=str(tmp_path / "log"), partition_by=partition_by)
    service = FeatureService(
        name="served", features=[store.get_feature_view("rows")], logging_config=LoggingConfig(destination=destination)
    )
    store.apply(service)
    schema = FeatureServiceLoggingSource(service, store.project).get_schema(store.registry)
    for day in (1, 2):
        known = {"key": 1, "rows__value": day, "__log_date": date(2026, 1, day), "__log_timestamp": at(24 * day)}
        columns = [pa.array([known.get(field.name)], field.type) for field in schema]
        logs: Any = pa.table(columns, schema=schema)
        if as_path:
            pq.write_table(logs, tmp_path / "logs.parquet")
            logs = tmp_path / "logs.parquet"
        store.write_logged_features(logs, service)
    job = store._get_provider().retrieve_feature_service_logs(service, at(0), at(99), store.config, store.registry)
    assert sorted(job.to_df()["rows__value"]) == [1, 2] and len(list((tmp_path / "log").rglob("*.parquet"))) == 2


def test_feast_monitoring_sees_parts_too(use: Any, tmp_path: Path) -> None:
    """Statistics over all rows of a source, kept and found again."""
    from boxplat.features.offline.plugin import limits

    write(tmp_path / "rows.parquet", ROWS)
    store = use("rows.parquet")
    append(
        store.get_feature_view("rows").batch_source, table({**ROWS, "value": [30, 40]}), tmp_path, limits(store.config)
    )
    offline, source = store._get_provider().offline_store, store.get_feature_view("rows").batch_source
    (found,) = offline.compute_monitoring_metrics(store.config, source, [("value", "numeric")], "event_timestamp")
    assert (found["row_count"], found["mean"], found["max_val"]) == (4, 25.0, 40.0)
    assert offline.get_monitoring_max_timestamp(store.config, source, "event_timestamp") == at(1)
    offline.ensure_monitoring_tables(store.config)
    assert offline.query_monitoring_metrics(store.config, "tests", "feature") == []


def test_logged_rows_are_kept_whatever_their_partition(tmp_path: Path) -> None:
    """Also those of no partition; and no value leads to another folder."""
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    keys = ["a", None, "../../../../away", "a/b", None, "a"]
    logged = pa.table({"part": keys, "value": range(6)})
    home = tmp_path / "deep" / "log"
    written = log(FileLoggingDestination(path=str(home), partition_by=["part"]), logged, None)
    assert {file.parent.parent for file in written} == {home} and len(written) == 4
    back = duckdb.sql(f"SELECT part, value FROM read_parquet('{home}/*/*.parquet', hive_partitioning=true)").fetchall()
    assert sorted(back, key=lambda row: row[1]) == list(zip(keys, range(6), strict=True))
