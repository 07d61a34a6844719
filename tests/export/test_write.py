"""An export replaces an export, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import File
from boxplat.export import Export, write
from boxplat.export.model import LOCK


def _export(*paths: str) -> Export:
    files = [File(path, path) for path in paths]
    lock = json.dumps({"made_by": "boxplat", "files": dict.fromkeys([*paths, "code/x"], "")})
    return Export(files=(*files, File(LOCK, lock)), packages={"code/x": b"\x00\xff"})


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_that_are_no_longer_made_disappear(tmp_path: Path) -> None:
    write(_export("base/a.yaml", "base/old/b.yaml"), tmp_path / "out")
    write(_export("base/a.yaml"), tmp_path / "out")
    assert sorted(_content(tmp_path / "out")) == ["base/a.yaml", "code/x", LOCK]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("stranger", ["notes.txt", "base/mine.yaml", ".git/HEAD"])
def test_a_strangers_file_is_never_lost(tmp_path: Path, stranger: str) -> None:
    output = tmp_path / "out"
    write(_export("base/a.yaml"), output)
    (output / stranger).parent.mkdir(exist_ok=True)
    (output / stranger).write_text("mine")
    before = _content(output)
    with pytest.raises(BoxError) as caught:
        write(_export("base/b.yaml"), output)
    assert stranger in caught.value.why and caught.value.code == ExitCode.PRECONDITION
    assert _content(output) == before


@pytest.mark.parametrize("lock", ["", "[]", "{}", '{"made_by": "somebody"}', '{"made_by": "boxplat"}', "\x00"])
def test_a_folder_with_another_lock_is_not_ours(tmp_path: Path, lock: str) -> None:
    (tmp_path / LOCK).write_text(lock)
    with pytest.raises(BoxError, match="not just an export"):
        write(_export("a"), tmp_path)


def test_an_empty_folder_may_be_filled_and_a_file_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(_export("a"), tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BoxError):
        write(_export("a"), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_write_that_fails_leaves_the_earlier_export(tmp_path: Path) -> None:
    output = tmp_path / "out"
    write(_export("a"), output)
    before = _content(output)
    with pytest.raises(BoxError, match="cannot write"):
        write(_export("b", "b/c"), output)
    assert _content(output) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_executable_file_is_one(tmp_path: Path) -> None:
    write(Export(files=(File("run.sh", "", executable=True), File(LOCK, "{}")), packages={}), tmp_path / "out")
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o111
