"""Real Feast repositories over the offline store, small enough to reason about."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

T0 = datetime(2026, 1, 1, tzinfo=UTC)
# Makes a repository in a folder: (folder, objects to apply, settings of the offline store) → FeatureStore.
Made = Callable[..., Any]


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def write(path: Path, columns: dict[str, Any], schema: pa.Schema | None = None) -> Path:
    """Columns as one Parquet file; lists of datetimes become UTC microseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(columns, schema), path)
    return path


def table(columns: dict[str, Any], schema: pa.Schema | None = None) -> pa.Table:
    arrays = {
        name: pa.array(values, pa.timestamp("us", tz="UTC"))
        if isinstance(values, list) and any(isinstance(value, datetime) for value in values)
        else values
        for name, values in columns.items()
    }
    return pa.table(arrays, schema=schema)


@pytest.fixture(scope="package", autouse=True)
def quiet_feast() -> Iterator[None]:
    """Feast's own switch for tests: no warnings about experimental features."""
    before = os.environ.get("IS_TEST")
    os.environ["IS_TEST"] = "True"
    yield
    os.environ.pop("IS_TEST")
    if before is not None:
        os.environ["IS_TEST"] = before


@pytest.fixture(scope="package")
def made() -> Made:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    def make(root: Path, objects: list[Any], **settings: Any) -> FeatureStore:
        config = RepoConfig(
            project="tests",
            provider="local",
            registry=str(root / "registry.db"),
            offline_store={
                "type": "boxplat.features.BoxOfflineStore",
                "memory_limit": "512MB",
                "threads": 2,
                **settings,
            },
            online_store={"type": "sqlite", "path": str(root / "online.db")},
            entity_key_serialization_version=3,
            repo_path=root,
        )
        store = FeatureStore(config=config)
        store.apply(objects)
        return store

    return make
