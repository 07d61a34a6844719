"""Feast repositories over small files, with boxplat's stores and engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast import FeatureStore, RepoConfig
from feast.repo_config import RegistryConfig

BOX = "boxplat.features"
BEGINNING, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def opened(folder: Path, online: str | dict[str, Any] = "box", **engine: Any) -> FeatureStore:
    """A feature store whose files are in `folder`; `online` names another online store than ours."""
    os.makedirs(folder, exist_ok=True)
    ours = {"type": f"{BOX}.BoxOnlineStore", "path": str(folder / "online")}
    config = RepoConfig(
        project="tiny",
        provider="local",
        registry=RegistryConfig(path=str(folder / "registry.db")),
        offline_store={"type": f"{BOX}.BoxOfflineStore"},
        online_store=ours if online == "box" else online,
        batch_engine={"type": f"{BOX}.BoxComputeEngine", **engine},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    return FeatureStore(config=config)


def read(store: FeatureStore, features: Sequence[str], rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Online values by feature."""
    return store.get_online_features(list(features), rows).to_dict()
