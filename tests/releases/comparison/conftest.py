"""A box with an endpoint, of which only the state is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from boxplat.core.config import Config, load
from boxplat.core.paths import Paths


@pytest.fixture
def paths(project: Path) -> Paths:
    return Paths(project)


@pytest.fixture
def settings(project: Path) -> Callable[[str], Config]:
    """The settings with something more in `boxplat.toml`."""

    def made(more: str = "") -> Config:
        (project / "boxplat.toml").write_text(f'[endpoints.delay]\nbento = "bentos/delay"\n{more}')
        return load(project / "boxplat.toml", {})

    return made
