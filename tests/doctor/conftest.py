from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.config import load
from boxplat.core.paths import Paths
from boxplat.doctor.probe import Site


@pytest.fixture
def project(tmp_path: Path) -> Paths:
    """A small, correct project."""
    root = tmp_path / "project"
    for name, text in {
        "boxplat.toml": '[project]\nname = "demo"\n',
        "flows/train.py": "from metaflow import FlowSpec\n",
        "feature_repo/feature_store.yaml": "project: demo\nregistry: registry.db\nprovider: local\n",
        "feature_repo/views.py": "VIEWS = []\n",
        "bentos/delay/service.py": "import bentoml\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Paths(root)


@pytest.fixture
def site(project: Paths, tmp_path: Path) -> Callable[..., Site]:
    """Build what a check is given, with any part replaced."""

    def build(**parts: Any) -> Site:
        constraints = tmp_path / "constraints.txt"
        constraints.touch()
        settings: dict[str, Any] = {
            "paths": project,
            "config": load(project.config, {}),
            "environ": {},
            "constraints": constraints,
        }
        return Site(**{**settings, **parts})

    return build
