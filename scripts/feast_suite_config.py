"""What Feast's universal tests are told about boxplat's stores; loaded by them through FULL_REPO_CONFIGS_MODULE.

No test of theirs is changed. Where they would fall back to Feast's own file store, they get this one too.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

import tests.universal.feature_repos.integration_test_repo_config as configs
import tests.universal.feature_repos.universal.data_sources.file as file_sources

from boxplat.features.offline.plugin import BoxOfflineStoreConfig

ENGINE: Any = {"type": "boxplat.features.BoxComputeEngine"}
# Feast's tests read rows of years ago with a life time of a day: by the wall clock they are expired.
ONLINE: Any = {"type": "boxplat.features.BoxOnlineStore", "path": "online", "clock": "materialization"}


class BoxDataSourceCreator(file_sources.FileDataSourceCreator):
    """Parquet files read by boxplat's offline store; also by name in SQL, which the tests of entity queries need."""

    def create_offline_store_config(self) -> BoxOfflineStoreConfig:
        return BoxOfflineStoreConfig(memory_limit="1GB", threads=2)

    def create_data_source(self, *args: Any, **kwargs: Any) -> Any:
        source = super().create_data_source(*args, **kwargs)
        # DuckDB reads a file by its quoted path.
        source.table = f"'{source.path}'"
        return source


class BoxDeltaSourceCreator(file_sources.DeltaFileSourceCreator):
    """Delta tables instead; `BOX_SUITE_FILES=delta`."""

    def create_offline_store_config(self) -> BoxOfflineStoreConfig:
        return BoxOfflineStoreConfig(memory_limit="1GB", threads=2)

    def create_data_source(self, *args: Any, **kwargs: Any) -> Any:
        source = super().create_data_source(*args, **kwargs)
        source.table = f"'{source.path}/*.parquet'"
        return source


@dataclass(eq=False, repr=False)
class Config(configs.IntegrationTestRepoConfig):
    """One combination of stores, with the compute engine under test."""

    batch_engine: Any = "local" if os.environ.get("BOX_SUITE_ENGINE") == "local" else None

    def __post_init__(self) -> None:
        self.batch_engine = self.batch_engine or ENGINE


Creator = BoxDeltaSourceCreator if os.environ.get("BOX_SUITE_FILES") == "delta" else BoxDataSourceCreator
configs.IntegrationTestRepoConfig = Config
file_sources.FileDataSourceCreator = Creator
sys.modules["tests.universal.feature_repos.repo_configuration"].OFFLINE_STORE_TO_PROVIDER_CONFIG["file"] = (  # type: ignore[attr-defined]
    "local",
    Creator,
)

AVAILABLE_OFFLINE_STORES = [("local", Creator)]
AVAILABLE_ONLINE_STORES: dict[str, Any] = (
    {"sqlite": ({"type": "sqlite"}, None)}
    if os.environ.get("BOX_SUITE_ONLINE") == "sqlite"
    else {name: (ONLINE, None) for name in os.environ.get("BOX_SUITE_ONLINE_AS", "box").split(",")}
)
