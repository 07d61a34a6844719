"""What was served, read by Feast as its own log of served features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError
from boxplat.features import logged
from boxplat.serving import annotate
from tests.serving.log.logs import NOW, ask, journal

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SERVED = datetime.fromtimestamp(NOW / 1e9, UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.feature_logging import LoggingConfig
    from feast.infra.offline_stores.file_source import FileLoggingDestination
    from feast.repo_config import RepoConfig
    from feast.types import Float64, Int64, String, UnixTimestamp

    root = tmp_path_factory.mktemp("feast")
    moment = pa.array([T0], pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"flight": [1], "delay": [1.5], "seen": [2], "at": moment}), root / "rows.parquet")
    config = RepoConfig(
        project="tests",
        provider="local",
        registry=str(root / "registry.db"),
        offline_store={"type": "boxplat.features.BoxOfflineStore"},
        online_store={"type": "sqlite", "path": str(root / "online.db")},
        entity_key_serialization_version=3,
        repo_path=root,
    )
    made = FeatureStore(config=config)
    flight = Entity(name="flight", value_type=ValueType.INT64)
    fields = [Field(name=n, dtype=t) for n, t in (("delay", Float64), ("seen", Int64), ("last", UnixTimestamp), ("tail", String))]  # fmt: skip  # noqa: E501
    source = FileSource(name="rows", path="rows.parquet", timestamp_field="at")
    view = FeatureView(name="history", entities=[flight], ttl=timedelta(hours=1), schema=fields, source=source)
    destination = FileLoggingDestination(path=str(root / "log"), partition_by=["__log_date"])
    kept = FeatureService(name="kept", features=[view], logging_config=LoggingConfig(destination=destination))
    made.apply([flight, view, kept, FeatureService(name="plain", features=[view])])
    return made


def test_served_features_are_feasts_logged_features(store: Any, tmp_path: Path) -> None:
    log = journal(tmp_path / "log")
    last = datetime(2026, 3, 1, 12, 30, 0, 123456, UTC)

    def say() -> None:
        annotate(
            rows=3,
            keys={"flight": [2**53 + 1, 2, 3]},
            features={"delay": [0.1, None, float("nan")], "history__seen": [7, None, "seven"], "last": [last] * 3},
            ages={"history": [60.25, 7200.0, float("nan")]},
            as_of=[T0, T0, T0],
            feature_service="kept",
        )

    ask(log, 1, say=say)
    ask(log, 2, say=lambda: annotate(features={"delay": 1}, feature_service="another"))
    ask(log, 3)
    log.flush()
    assert logged.write(store, "kept", tmp_path / "log") == 3
    service = store.get_feature_service("kept")
    provider = store._get_provider()
    day = timedelta(days=1)
    job = provider.retrieve_feature_service_logs(service, SERVED - day, SERVED + day, store.config, store.registry)
    found = job.to_arrow().sort_by("flight").to_pylist()
    two, three, one = found
    assert one["flight"] == 2**53 + 1 and one["history__delay"] == 0.1 and one["history__seen"] == 7
    # Feast keeps whole seconds here.
    assert one["history__delay__timestamp"] == T0 - timedelta(seconds=61) and one["history__delay__status"] == 1
    assert one["history__last"] == last.replace(microsecond=0, tzinfo=None) and one["history__tail__status"] == 2
    # Older than the view's life time; no row at all; a value of another type.
    assert (two["history__delay"], two["history__delay__status"]) == (None, 4)
    assert (three["history__tail__status"], three["history__seen__status"]) == (3, 0)
    assert {row["__request_id"] for row in found} == {f"{1:016x}"}
    # Partitioned as the destination wants it.
    assert [path.name for path in Path(service.logging_config.destination.path).iterdir()] == [
        f"__log_date={SERVED.date()}"
    ]


def test_a_service_without_a_log_is_refused(store: Any, tmp_path: Path) -> None:
    with pytest.raises(BoxError, match="keeps no log"):
        logged.write(store, "plain", tmp_path)
