"""One repository over boxplat's online store and one over Feast's sqlite store, with the same definitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import repositories

Maker = Callable[..., Any]


@pytest.fixture(scope="package")
def box(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A registered repository on boxplat's store. Tests write to users of their own."""
    return repositories.make(tmp_path_factory.mktemp("box") / "repo")


@pytest.fixture(scope="package")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same on Feast's sqlite store."""
    return repositories.make(tmp_path_factory.mktemp("stock") / "repo", "sqlite")


@pytest.fixture
def fresh(tmp_path: Path) -> Maker:
    """Makes a repository for this test alone."""
    return lambda **how: repositories.make(tmp_path / "repo", **how)
