"""A Feast repository whose files move to a real S3 server: DuckDB reads them there, without its extension."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.verify.storage import Storage
from boxplat.features import elsewhere

pytestmark = pytest.mark.integration
SETTINGS = """
project: tiny
provider: local
registry: {folder}/registry.db
offline_store: {{type: boxplat.features.BoxOfflineStore}}
online_store: {{type: sqlite, path: {folder}/online.db}}
entity_key_serialization_version: 3
"""
DEFINITIONS = """
import os
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64

airport = Entity(name="airport", value_type=ValueType.INT64)
path = os.environ["BOXPLAT_DATA"] + "/deep/rows.parquet"
rows = FileSource(name="rows", path=path, timestamp_field="event_timestamp")
pushed = PushSource(name="pushed", batch_source=rows)
schema = [Field(name="airport", dtype=Int64), Field(name="wind", dtype=Float64)]
reports = FeatureView(name="reports", entities=[airport], ttl=timedelta(days=9), schema=schema, source=rows)
live = FeatureView(name="live", entities=[airport], ttl=timedelta(days=9), schema=schema, source=pushed)
"""


def at(day: int) -> datetime:
    return datetime(2026, 1, day, tzinfo=UTC)


def write(path: Path, wind: list[float], after: float = -2.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = pa.array([at(day) for day in (1, 2)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"airport": [1, 1], "wind": wind, "event_timestamp": times}), path)
    # S3 counts whole seconds: what is written and published within one is published again.
    os.utime(path, (time.time() + after, time.time() + after))


@pytest.fixture
def repo(tmp_path: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(SETTINGS.format(folder=tmp_path))
    # Feast imports it by its name, once in a process.
    (folder / f"definitions_{len(sys.modules)}.py").write_text(DEFINITIONS)
    monkeypatch.syspath_prepend(folder)
    write(tmp_path / "data" / "deep" / "rows.parquet", [1.0, 2.0])
    variables = {
        **storage.environment(),
        "BOXPLAT_DATA": str(tmp_path / "data"),
        "BOXPLAT_OFFLINE": f"{storage.url}/elsewhere/{tmp_path.name}",
        "FEAST_FS_YAML_FILE_PATH": str(folder / "feature_store.yaml"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


def wind(repo: Path, view: str) -> list[float]:
    from feast import FeatureStore

    entities = pa.table({"airport": [1], "event_timestamp": [at(3)]}).to_pandas()
    found: Any = FeatureStore(repo_path=str(repo)).get_historical_features(entities, [f"{view}:wind"])
    values: list[float] = found.to_df()["wind"].tolist()
    return values


def test_features_are_read_from_the_store(repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from feast import FeatureStore

    def published() -> list[str]:
        capsys.readouterr()
        elsewhere.main(["publish"])
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("s3://")]

    assert [url.rpartition("/")[2] for url in published()] == ["rows.parquet"]
    assert published() == []
    write(tmp_path / "data" / "deep" / "rows.parquet", [1.0, 5.0], after=2.0)
    assert len(published()) == 1
    elsewhere.main(["apply"])
    rmtree(tmp_path / "data")
    capsys.readouterr()
    elsewhere.main(["fetch"])
    assert capsys.readouterr().out == "deep/rows.parquet\n" and published() == []
    (tmp_path / "data" / "deep" / "rows.parquet").write_text("somebody's")
    elsewhere.main(["fetch"])
    assert (tmp_path / "data" / "deep" / "rows.parquet").read_text() == "somebody's"
    # A flow that writes a table of several files anew deletes those of before.
    (tmp_path / "data" / "deep" / "rows.parquet").unlink()
    elsewhere.main(["fetch"])
    assert not (tmp_path / "data" / "deep" / "rows.parquet").exists()
    rmtree(tmp_path / "data")
    assert wind(repo, "reports") == [5.0] and wind(repo, "live") == [5.0]
    store = FeatureStore(repo_path=str(repo))
    store.materialize(at(1), at(3))
    online = store.get_online_features(["reports:wind"], [{"airport": 1}]).to_dict()
    assert online["wind"] == [5.0]


def test_spark_gets_the_same_sources_by_its_own_addresses(repo: Path, tmp_path: Path) -> None:
    from feast import FeatureStore

    from boxplat.features.definitions import read

    contents = read(FeatureStore(repo_path=str(repo)), repo)
    elsewhere.move(contents, elsewhere.Move(tmp_path / "data", "s3://bucket/data/", spark=True))
    for view in contents.feature_views:
        source: Any = view.batch_source
        assert (type(source).__name__, source.path) == ("SparkSource", "s3a://bucket/data/deep/rows.parquet")
        assert (source.name, source.timestamp_field) == ("rows", "event_timestamp")


def test_a_source_that_is_elsewhere_already_stays(tmp_path: Path) -> None:
    move = elsewhere.Move(tmp_path / "data", "s3://bucket")
    paths = ["s3://other/rows.parquet", str(tmp_path / "database" / "rows.parquet"), str(tmp_path)]
    assert [move.path(path) for path in paths] == [None, None, None]


def test_an_unknown_verb_is_refused() -> None:
    with pytest.raises(BoxError) as caught:
        elsewhere.main(["destroy"])
    assert caught.value.code is ExitCode.USAGE
