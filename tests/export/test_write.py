"""An export replaces an export, and nothing else."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import File
from boxplat.export import Export, write
from boxplat.export.model import LOCK

writing = importlib.import_module("boxplat.export.write")
WRITER = """
import json, sys
from itertools import cycle
from pathlib import Path
from boxplat.core.model import File
from boxplat.export.model import LOCK, Export
from boxplat.export.write import write

def export(name):
    paths = [f"{name}/{index}" for index in range(40)]
    lock = json.dumps({"made_by": "boxplat", "files": dict.fromkeys([*paths, "code/x"], "")})
    return Export((*(File(path, path) for path in paths), File(LOCK, lock)), {"code/x": bytes([0, 255])})

for turn, name in enumerate(cycle("ab")):
    write(export(name), Path(sys.argv[1]))
    if turn == 1:
        print("ready", flush=True)
"""


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


def test_a_kill_at_any_moment_leaves_one_whole_export(tmp_path: Path) -> None:
    """Two exports take turns; whenever the writer is killed, the folder is one of them, and the next writer tidies."""
    writer = tmp_path / "writer.py"
    writer.write_text(WRITER)
    output, whole = tmp_path / "out", {}
    for name in "ab":
        write(_export(*(f"{name}/{index}" for index in range(40))), tmp_path / name)
        whole[name] = _content(tmp_path / name)
    write(_export("first"), output)
    for turn in range(6):
        child = subprocess.Popen([sys.executable, str(writer), str(output)], stdout=subprocess.PIPE)
        with child:
            assert child.stdout is not None and child.stdout.readline()
            threading.Event().wait(random.Random(turn).uniform(0, 0.05))
            child.kill()
        assert _content(output) in whole.values()
    write(_export("last"), output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "out", "writer.py"]


def test_a_system_that_cannot_swap_folders_replaces_them_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_exchanged", lambda one, other: False)
    for name in "ab":
        write(_export(name), tmp_path / "out")
    assert sorted(_content(tmp_path / "out")) == ["b", "code/x", LOCK]


def test_an_executable_file_is_one(tmp_path: Path) -> None:
    write(Export(files=(File("run.sh", "", executable=True), File(LOCK, "{}")), packages={}), tmp_path / "out")
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o111
