"""What a run reads and writes through Feast is noted in its spool, by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from boxplat.core import datasets
from boxplat.runs.datasets import told
from boxplat.runs.spool import records_of

from .conftest import Made, at, write

Noted = Callable[[], dict[tuple[str, str], str]]


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Noted:
    """Makes this process a task of a run; digests by way and name, as they are in its spool."""
    spool = tmp_path / ".box" / "runs" / "1" / "spool.jsonl"
    spool.parent.mkdir(parents=True)
    monkeypatch.setenv("BOXPLAT_SPOOL", str(spool))
    monkeypatch.setenv("BOXPLAT_PROJECT", str(tmp_path))
    monkeypatch.setattr(datasets, "_told", set())

    def read() -> dict[tuple[str, str], str]:
        records = records_of(spool.read_bytes()) if spool.exists() else []
        return {(one.way, one.name): one.digest for record in records for one in told(record)}

    return read


@pytest.fixture
def store(tmp_path: Path, made: Made) -> Any:
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64

    write(tmp_path / "speeds.parquet", {"driver": [1, 2], "event_timestamp": [at(0), at(1)], "speed": [10.0, 20.0]})
    driver = Entity(name="driver", join_keys=["driver"], value_type=ValueType.INT64)
    source = FileSource(name="speeds_rows", path="speeds.parquet", timestamp_field="event_timestamp")
    speeds = FeatureView(
        name="speeds", entities=[driver], schema=[Field(name="speed", dtype=Float64)], source=source, ttl=timedelta(0)
    )
    return made(tmp_path, [driver, speeds])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_join_notes_what_it_read_and_what_was_written_of_it(tmp_path: Path, store: Any, noted: Noted) -> None:
    asked = pd.DataFrame({"driver": [1, 2], "event_timestamp": [at(2), at(2)]})
    asked.to_parquet(tmp_path / "asked.parquet")
    job = store.get_historical_features(asked, ["speeds:speed"])
    assert noted() == {}  # nothing was read yet
    job.to_parquet(tmp_path / "training.parquet")
    assert noted() == {
        ("read", "speeds_rows"): sha256(tmp_path / "speeds.parquet"),
        ("wrote", "training.parquet"): sha256(tmp_path / "training.parquet"),
    }
    # The same entity rows as a file are a dataset of their own.
    store.get_historical_features(str(tmp_path / "asked.parquet"), ["speeds:speed"]).to_arrow()
    assert noted()["read", "asked.parquet"] == sha256(tmp_path / "asked.parquet")


def test_a_materialization_and_a_pull_note_their_sources(tmp_path: Path, store: Any, noted: Noted) -> None:
    store.materialize(at(0), at(5))
    assert noted() == {("read", "speeds_rows"): sha256(tmp_path / "speeds.parquet")}


def test_rows_that_are_added_make_another_version_of_the_source(tmp_path: Path, store: Any, noted: Noted) -> None:
    asked = pd.DataFrame({"driver": [1], "event_timestamp": [at(9)]})
    store.get_historical_features(asked, ["speeds:speed"]).to_arrow()
    first = noted()["read", "speeds_rows"]
    store.write_to_offline_store("speeds", pd.DataFrame({"driver": [1], "event_timestamp": [at(3)], "speed": [30.0]}))
    [part] = (tmp_path / "speeds.parquet.parts").glob("*.parquet")
    assert noted()["wrote", str(part.relative_to(tmp_path))] == sha256(part)
    store.get_historical_features(asked, ["speeds:speed"]).to_arrow()
    assert noted()["read", "speeds_rows"] not in (first, sha256(part))
