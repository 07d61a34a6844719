"""Files that are not as they were written: refused by name, never read as something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxplat.core.errors import BoxError
from boxplat.features.rows import Store
from tests.features.rows.test_faults import NAMES, VIEW, load, push, state


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "store"
    store = Store(folder)
    store.define(VIEW)
    load(store, NAMES[:6], 10)
    push(store, NAMES[3:7], 20)
    push(store, NAMES[5:9], 30)
    return folder


def the(folder: Path, pattern: str) -> Path:
    (path,) = (folder / "v").glob(pattern)
    return path


@pytest.mark.parametrize("pattern", ["rows-*.seg", "pushed-*.log", "manifest.json"])
def test_a_flipped_bit_is_refused_by_name(base: Path, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    path, whole = the(folder, pattern), state(Store(base))
    raw = path.read_bytes()
    for at in range(0, len(raw), max(1, len(raw) // 150)):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :])
        try:
            assert state(Store(folder)) == whole, f"byte {at}: other values"
        except BoxError as error:
            assert path.name in error.what
            assert "rm -r" in error.fix
            assert "box features materialize" in error.fix


@pytest.mark.parametrize("pattern", ["rows-*.seg", "manifest.json"])
def test_a_cut_file_is_refused_by_name(base: Path, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    path = the(folder, pattern)
    raw = path.read_bytes()
    for length in sorted({0, 1, 8, 20, len(raw) // 2, len(raw) - 70}):
        path.write_bytes(raw[:length])
        with pytest.raises(BoxError) as caught:
            state(Store(folder))
        assert path.name in caught.value.what


def test_a_log_cut_anywhere_is_its_whole_pushes(base: Path, tmp_path: Path) -> None:
    """What a kill leaves at the end is not read, and the next push takes its place."""
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    path = the(folder, "pushed-*.log")
    raw = path.read_bytes()
    seen: list[Any] = []
    for length in range(len(raw), 0, -3):
        path.write_bytes(raw[:length])
        try:
            found = state(Store(folder))
        except BoxError as error:
            assert path.name in error.what
            break
        if found not in seen:
            seen.append(found)
    assert len(seen) == 3, "two pushes, one push, none"
    path.write_bytes(raw[:-5])
    store = Store(folder)
    assert push(store, NAMES[11:], 40) == 1
    numbers = Store(folder).read("v", {"id": NAMES}).python("n")
    assert numbers == [10, 10, 10, 20, 20, 20, 20, None, None, None, None, 40]


@pytest.mark.parametrize("pattern", ["rows-*.seg", "pushed-*.log", "manifest.json"])
def test_garbage_is_refused_by_name(base: Path, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    path = the(folder, pattern)
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(BoxError) as caught:
        state(Store(folder))
    assert path.name in caught.value.what


@pytest.mark.parametrize("pattern", ["rows-*.seg", "pushed-*.log", "manifest.json"])
def test_another_version_says_what_to_run(base: Path, tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    path = the(folder, pattern)
    if path.name == "manifest.json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 7}))
    else:
        raw = bytearray(path.read_bytes())
        raw[8:12] = (7).to_bytes(4, "little")
        path.write_bytes(raw)
    with pytest.raises(BoxError) as caught:
        state(Store(folder))
    assert path.name in caught.value.what
    assert "7" in caught.value.why
    assert "box features materialize" in caught.value.fix


def test_a_missing_segment_is_told(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    the(folder, "rows-*.seg").unlink()
    with pytest.raises(BoxError) as caught:
        state(Store(folder))
    assert "rows-" in caught.value.why


def test_rows_are_there_without_the_control_files(base: Path, tmp_path: Path) -> None:
    """A backup of the views alone is a store."""
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    shutil.rmtree(folder / ".control")
    store = Store(folder)
    assert state(store) == state(Store(base))
    push(Store(folder), NAMES[:1], 50)
    assert store.read("v", {"id": NAMES[:1]}).python("n") == [50]
