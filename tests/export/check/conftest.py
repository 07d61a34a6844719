"""The wild project's export in a folder, and its manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxplat.export import Export, write
from boxplat.export.check.folder import Folder, read
from boxplat.export.check.model import Manifest, Manifests


@pytest.fixture(scope="session")
def written(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checked") / "out"
    write(export, place)
    return place


@pytest.fixture(scope="session")
def folder(written: Path) -> Folder:
    return read(written)


@pytest.fixture(scope="session")
def planted(folder: Folder) -> Any:
    """The manifests of `prod` and its components with a fault in them: called with what makes the fault."""

    every = json.dumps({one.title: one.document for one in [*folder.apart, *folder.overlays["prod"].all]})

    def made(change: Any) -> Manifests:
        documents = json.loads(every)
        change(documents)
        lock = documents.pop("lock", folder.lock)
        return Manifests(tuple(Manifest(one) for one in documents.values()), lock)

    return made
