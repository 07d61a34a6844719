"""What a run read and wrote, by content: noted once, hashed once, and told where it cannot be."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core import datasets, digests
from boxplat.core.model import Dataset
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.offline.publish import write_table
from boxplat.runs import spool
from boxplat.runs.progress import Progress

TABLE = pa.table({"a": [1, 2, 3]})


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StateStore, Paths]:
    """A box with one run, and this process as a task of it."""
    paths = Paths(tmp_path)
    paths.config.touch()
    state = StateStore.open(paths)
    run = state.runs.add("flow.py", "F", {})
    paths.run_dir(run.id).mkdir()
    monkeypatch.setenv("BOXPLAT_SPOOL", str(paths.run_dir(run.id) / "spool.jsonl"))
    monkeypatch.setenv("BOXPLAT_PROJECT", str(tmp_path))
    monkeypatch.setenv("BOXPLAT_STEP", "start")
    monkeypatch.setattr(datasets, "_told", set())
    return state, paths


def kept(state: StateStore, paths: Paths) -> list[Dataset]:
    """Twice, as after a crash: nothing may be there twice."""
    for _ in range(2):
        Progress(state, 1).take(spool.Tail(paths.run_dir(1) / "spool.jsonl").read())
    return state.datasets.of_run(1)


def test_a_file_has_the_digest_that_sha256sum_prints(box: tuple[StateStore, Paths]) -> None:
    state, paths = box
    path = paths.root / "data" / "x.parquet"
    write_table(TABLE, path)
    [found] = kept(state, paths)
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.way, found.name, found.step, found.bytes) == ("wrote", "data/x.parquet", "start", path.stat().st_size)


def test_the_digest_of_a_folder_changes_with_names_and_contents_only(tmp_path: Path) -> None:
    def made(name: str, files: dict[str, bytes]) -> str:
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return datasets.digest(None, str(folder), [digests.stamp(str(folder / file)) for file in files])

    first = made("one", {"a": b"1", "b": b"2"})
    assert first == made("two", {"b": b"2", "a": b"1"})
    assert len({first, made("three", {"a": b"2", "b": b"1"}), made("four", {"a": b"1", "c": b"2"})}) == 3


def test_an_unchanged_file_is_hashed_once_and_a_changed_one_again(
    box: tuple[StateStore, Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, paths = box
    path = paths.root / "big.parquet"
    pq.write_table(TABLE, path)
    os.utime(path, (1e9, 1e9))
    hashed: list[Path] = []
    real = digests.of_file
    monkeypatch.setattr(digests, "of_file", lambda file: hashed.append(file) or real(file))
    for _ in range(3):
        monkeypatch.setattr(datasets, "_told", set())  # as other tasks do it
        datasets.reads("big", str(path), [digests.stamp(str(path))])
    assert hashed == [path]
    pq.write_table(pa.table({"a": [4, 5, 6]}), path)
    os.utime(path, (1e9, 1e9 + 1))
    datasets.reads("big", str(path), [digests.stamp(str(path))])
    assert hashed == [path, path]
    assert len({one.digest for one in kept(state, paths)}) == 2


def test_a_file_that_was_written_just_now_is_not_trusted_by_its_time(box: tuple[StateStore, Paths]) -> None:
    state, paths = box
    path = paths.root / "x.csv"
    path.write_text("1")
    # Now, however long this takes.
    os.utime(path, (time.time() + 60,) * 2)
    datasets.read_file(path)
    assert state.datasets.digests([digests.stamp(str(path))]) == {}


def test_what_was_replaced_before_it_was_hashed_gets_no_wrong_digest(box: tuple[StateStore, Paths]) -> None:
    state, paths = box
    path = paths.root / "x.csv"
    path.write_text("1")
    before = digests.stamp(str(path))
    path.write_text("22")
    datasets.reads("x", str(path), [before])
    datasets.reads("far", "s3://bucket/x.parquet", [])
    gone, far = kept(state, paths)
    assert gone.digest == far.digest == ""
    assert "replaced" in gone.note
    assert "not lie on this machine" in far.note


def test_outside_of_a_run_nothing_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOXPLAT_SPOOL", raising=False)
    monkeypatch.setattr(digests, "of_file", lambda file: pytest.fail("hashed"))
    write_table(TABLE, tmp_path / "x.parquet")


def test_what_a_flow_notes_itself_is_kept(box: tuple[StateStore, Paths]) -> None:
    state, paths = box
    end = {
        "kind": "end",
        "at": 1.0,
        "run": "1",
        "step": "start",
        "task": "1",
        "attempt": 0,
        "ok": True,
        "artifacts": {},
    }
    spool.append(paths.run_dir(1) / "spool.jsonl", {**end, "digests": {"raw/x": "abc"}, "stack": []})
    assert kept(state, paths) == [Dataset("noted", "raw/x", "abc", step="start", at=1.0)]
