"""One empty Feast repository on boxplat's offline store for all tests here: importing Feast alone takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.features.oracle.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return opened(tmp_path_factory.mktemp("oracle"))


def opened(folder: Path) -> World:
    """A repository in `folder` with nothing registered."""
    from feast import FeatureStore, RepoConfig

    from boxplat.features.offline.plugin import BoxOfflineStore
    from tests.features.oracle.world import World

    config = RepoConfig(
        project="oracle",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "boxplat.features.BoxOfflineStore"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([])
    return World(store, BoxOfflineStore, folder)
