"""When `box run --once` may say that a run was made before."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxplat.runs.fingerprint import fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("flow.py", "parts/sql/rows.sql", "settings.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def of(folder: Path, flow: str = "flow.py", **params: str) -> str:
    return fingerprint([folder], flow, params)


@pytest.mark.parametrize("name", ["flow.py", "parts/sql/rows.sql", "settings.yaml", "new.py"])
def test_another_file_is_another_run(folder: Path, name: str) -> None:
    before = of(folder)
    (folder / name).write_text("other")
    assert of(folder) != before


def test_other_parameters_flow_or_place_of_a_file_are_another_run(folder: Path) -> None:
    before = {of(folder), of(folder, a="1"), of(folder, a="2"), of(folder, flow="other.py")}
    assert len(before) == 4
    (folder / "settings.yaml").rename(folder / "parts" / "settings.yaml")
    assert of(folder) not in before


@pytest.mark.parametrize(
    "name", [".box/box.db", ".venv/lib/x.py", "venv/lib/site-packages/x.py", "__pycache__/flow.pyc", ".git/HEAD"]
)
def test_what_nobody_wrote_does_not_count(folder: Path, name: str) -> None:
    """A flow at the project's root has `.box` beside it, which changes all the time."""
    before = of(folder)
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("x")
    assert of(folder) == before


def test_a_dangling_link_and_a_missing_folder_are_no_error(folder: Path) -> None:
    before = of(folder)
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    assert of(folder) == before
    assert fingerprint([folder / "absent"], "f.py", {}) == fingerprint([folder / "absent"], "f.py", {})
