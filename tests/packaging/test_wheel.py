"""The wheel: its top-level packages, and a project made from it outside the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("flows", "feature_repo", "bentos")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(argv, check=True)
    return next(folder.glob("boxplat-*.whl"))


def tracked(part: str) -> set[str]:
    """The repository's files of a part: what git knows or would add."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", part]
    return set(subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_the_only_top_level_packages_are_ours(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"boxplat", "boxplat_tui"}


def test_nothing_that_a_person_made_by_running_is_packed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [n for n in names if "__pycache__" in n or "/.box/" in n or "/.metaflow/" in n or n.endswith(".pyc")] == []


def test_init_from_the_wheel_writes_the_sample_as_it_is_in_the_repository(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "site"
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(argv, check=True)
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", "import boxplat; print(boxplat.__file__)"], env=env, cwd=tmp_path, capture_output=True
    )
    assert str(installed) in done.stdout.decode(), "the wheel's code is what runs here"
    subprocess.run([sys.executable, "-m", "boxplat", "init", "demo"], env=env, cwd=tmp_path, check=True)
    made = tmp_path / "demo"
    wanted = {name for part in PARTS for name in tracked(part)} | {"boxplat.toml", ".gitignore"}
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} == wanted
    assert all((made / name).read_bytes() == (ROOT / name).read_bytes() for name in wanted - {".gitignore"})


def test_an_editable_install_makes_the_same_project(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "boxplat", "init", "demo"], cwd=tmp_path, check=True)
    assert (tmp_path / "demo" / "flows" / "train.py").read_bytes() == (ROOT / "flows" / "train.py").read_bytes()
