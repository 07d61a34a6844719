"""What the extension writes of the tasks that a resumed run takes over: all of them, and only what was taken over."""

from __future__ import annotations

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from boxplat.adapters.flows import EXTENSION
from boxplat.core.model import RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.progress import Progress
from boxplat.runs.spool import Tail

PACKAGE = "metaflow_extensions.boxplat.plugins"
# Longer than a pipe's or a file's buffer, where a write in several pieces would show.
WRITER = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from {PACKAGE}.spool_writer import write
def report(number):
    write({{"kind": "note", "at": 1.0, "text": f"{{sys.argv[1]}}/{{number}} " + "x" * (number % 40) * 1000}})
with ThreadPoolExecutor(4) as threads:
    list(threads.map(report, range(200)))
"""


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool.jsonl"
    monkeypatch.setenv("BOXPLAT_SPOOL", str(path))
    monkeypatch.syspath_prepend(str(EXTENSION))
    return path


def recorded(clone: Any) -> Any:
    return importlib.import_module(f"{PACKAGE}.clones").recorded(clone)


def test_tasks_that_report_at_once_lose_nothing(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXTENSION))
    tasks = [subprocess.Popen([sys.executable, "-c", WRITER, str(number)]) for number in range(3)]
    tail, seen = Tail(spool), []
    while any(task.poll() is None for task in tasks):
        seen += tail.read()
    seen += tail.read()
    assert [task.returncode for task in tasks] == [0, 0, 0]
    expected = {f"{task}/{number}": number % 40 * 1000 for task in range(3) for number in range(200)}
    assert len(seen) == len(expected)
    texts = [record["text"].partition(" ") for record in seen]
    assert {name: len(filling) for name, _, filling in texts} == expected


def test_clones_of_many_threads_become_rows(spool: Path, tmp_path: Path) -> None:
    clone = recorded(lambda flow_name, clone_run_id, run_id, step_name, clone_task_id, task_id, store, ds=None: None)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: clone("F", "6", "7", "work", str(number), f"t{number}", None), range(200)))
    state = StateStore.open(Paths(tmp_path))
    run = state.runs.add("flow.py", "F", {}, {}, "test")
    Progress(state, run.id).take(Tail(spool).read())
    rows = state.runs.tasks(run.id)
    assert {(row.step, row.task) for row in rows} == {("work", f"t{number}") for number in range(200)}
    assert {row.state for row in rows} == {RunState.SUCCEEDED}
    assert all(row.started == row.ended for row in rows)


def test_a_clone_that_fails_is_not_recorded(spool: Path) -> None:
    def clone(run_id: str, step_name: str, task_id: str) -> None:
        raise OSError("the datastore is full")

    with pytest.raises(OSError, match="full"):
        recorded(clone)("7", "work", "1")
    assert Tail(spool).read() == []


def test_an_unknown_way_to_clone_still_clones_and_is_noted(spool: Path) -> None:
    cloned: list[str] = []
    recorded(lambda pathspec: cloned.append(pathspec))("F/7/work/1")
    assert cloned == ["F/7/work/1"]
    (note,) = Tail(spool).read()
    assert (note["kind"], "KeyError: 'run_id'" in note["text"]) == ("note", True)
