"""A project in which a flow has really run, and copies of it for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boxplat.adapters import tracking
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from tests.gc.filling import DAY, FLOWS, Filling


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project with the tables of a tracking store and one run in Metaflow's datastore; that run's id."""
    root = tmp_path_factory.mktemp("gc") / "template"
    shutil.copytree(FLOWS, root / "flows")
    (root / "boxplat.toml").write_text('[project]\nname = "gc"\n')
    paths = Paths(root)
    StateStore.open(paths).close()
    tracking.prepare(paths)
    command = [sys.executable, "flows/makes.py", "--no-pylint", "run"]
    env = child_environment(paths, Config())
    subprocess.run(command, cwd=root, env=env, check=True, capture_output=True, timeout=300)
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 90 * DAY,) * 2)  # or it could be at work still
    return root, (paths.metaflow / ".metaflow" / "MakesFlow" / "latest_run").read_text().strip()


@pytest.fixture
def filling(template: tuple[Path, str], tmp_path: Path) -> Iterator[Filling]:
    """An empty box (but for the run that others are copied from) to be filled."""
    root, original = template
    shutil.copytree(root, tmp_path / "project", symlinks=True)
    paths = Paths(tmp_path / "project")
    state = StateStore.open(paths)
    yield Filling(state, paths, original)
    state.close()


Loader = Callable[[Paths, list[str]], None]


@pytest.fixture
def loads() -> Loader:
    """Reads every artifact of Metaflow runs with Metaflow's own client; fails where one is missing."""
    return _load


def _load(paths: Paths, pathspecs: list[str]) -> None:
    code = (
        "import sys; from metaflow import Run, namespace; namespace(None)\n"
        "for name in sys.argv[1:]:\n"
        "    for step in Run(name):\n"
        "        for task in step:\n"
        "            [artifact.data for artifact in task.artifacts]\n"
    )
    env = child_environment(paths, Config())
    done = subprocess.run(
        [sys.executable, "-c", code, *pathspecs], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
