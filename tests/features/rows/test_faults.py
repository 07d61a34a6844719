"""Kill -9 and a full disk at every single change that a write makes: the store is as before or as after, never
between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxplat.core.errors import BoxError
from boxplat.features.rows import Store
from boxplat.features.schema import Field, View
from tests.features.rows import faults

VIEW = View("v", (Field("id", "STRING"),), (Field("n", "INT64"), Field("s", "STRING")))
WIDER = View("v", (Field("id", "STRING"),), (Field("n", "INT64"), Field("s", "STRING"), Field("new", "DOUBLE")))
NAMES = [f"key {number}" for number in range(12)]


def push(store: Store, names: list[str], event: int) -> int:
    columns: dict[str, Any] = {"id": names, "n": [event] * len(names), "s": [f"{event} {name}" for name in names]}
    return store.push("v", {**columns, "t": np.full(len(names), event)}, "t")


def load(store: Store, names: list[str], event: int) -> None:
    columns: list[tuple[str, Any]] = [("n", [event] * len(names)), ("s", [f"{event} {name}" for name in names])]
    with store.load("v") as work:
        work.write(0, 1, {"id": names}, np.full(len(names), event), None, columns)
        work.commit(event)


def fold(store: Store) -> None:
    with store.load("v") as work:
        work.commit(None)


def state(store: Store) -> Any:
    """All that can be seen of the view; None when it is gone."""
    if "v" not in store.views():
        return None
    rows = store.read("v", {"id": NAMES})
    values = [rows.python(field) for field in rows.fields]
    return rows.fields, rows.status.tolist(), rows.event_us.tolist(), values, store.status("v").watermark_us


OPERATIONS: dict[str, Callable[[Store], object]] = {
    "push": lambda store: push(store, NAMES[2:8], 30),
    "load": lambda store: load(store, NAMES[4:10], 30),
    "fold": fold,
    "define": lambda store: store.define(WIDER),
    "drop": lambda store: store.drop("v"),
}


# The work may finish in spite of a fault (a full disk where it only tidies up), but not before it has made so many
# changes.
SIGNALS = {"push": 5, "load": 20, "fold": 20, "define": 8, "drop": 3}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill leaves what the system has in memory: flushing only takes time here. The faults count it all the same."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(os, "fdatasync", lambda handle: None)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a loaded segment and pushes on top of it."""
    folder = tmp_path_factory.mktemp("base") / "store"
    store = Store(folder)
    store.define(VIEW)
    load(store, NAMES[:6], 10)
    push(store, NAMES[3:7], 20)
    return folder


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("push", "kill"),
        ("push", "torn"),
        ("push", "full"),
        ("load", "torn"),
        ("load", "full"),
        ("fold", "kill"),
        ("define", "kill"),
        ("define", "full"),
        ("drop", "kill"),
    ],
)
def test_a_fault_at_any_step_leaves_the_state_before_or_after(
    base: Path, tmp_path: Path, name: str, fault: str
) -> None:
    before, done = state(Store(base)), tmp_path / "done"
    shutil.copytree(base, done)
    OPERATIONS[name](Store(done))
    after = state(Store(done))
    for step in range(1, 200):
        folder = tmp_path / str(step)
        shutil.copytree(base, folder)
        end = faults.run(lambda folder=folder: OPERATIONS[name](Store(folder)), step, fault)  # type: ignore[misc]
        assert end != faults.BROKEN, f"step {step}"
        found = state(Store(folder))
        assert found in (before, after), f"step {step}"
        if end == faults.FINISHED:
            assert found == after
        _works_on(folder)
        if end == faults.FINISHED and step > SIGNALS[name]:
            return
        shutil.rmtree(folder)
    raise AssertionError("the work makes more changes than were tried")


def _works_on(folder: Path) -> None:
    """After the fault the next writers find nothing in their way, and every reader sees what they wrote."""
    store = Store(folder)
    store.define(WIDER)
    columns: dict[str, Any] = {"id": NAMES, "n": [99] * 12, "s": ["new"] * 12, "new": [0.5] * 12, "t": np.full(12, 99)}
    assert store.push("v", columns, "t") == 12
    fold(store)
    rows = Store(folder).read("v", {"id": NAMES})
    assert rows.python("n") == [99] * 12
    assert rows.python("s") == ["new"] * 12


def test_a_load_that_was_killed_is_resumed(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)

    def half(store: Store) -> None:
        with store.load("v") as work:
            assert work.resume("the same") == {}
            columns: list[tuple[str, Any]] = [("n", [50] * 12), ("s", ["x"] * 12)]
            work.write(0, 1, {"id": NAMES}, np.full(12, 50), None, columns)
            faults._inject(1, "kill")
            work.commit(50)

    assert faults.run(lambda: half(Store(folder)), 10**6, "kill") == -9
    push(Store(folder), NAMES[:2], 60)
    store = Store(folder)
    with store.load("v") as work:
        assert work.resume("the same") == {0: 12}
        work.commit(50)
    assert store.read("v", {"id": NAMES}).python("n") == [60, 60, *[50] * 10]
    with store.load("v") as work:
        assert work.resume("the same") == {}, "a committed load is not continued"


def test_another_load_is_not_resumed(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    store = Store(folder)
    with store.load("v") as work:
        work.resume("one")
        work.write(0, 1, {"id": NAMES}, np.full(12, 50), None, [("n", [50] * 12)])
    with store.load("v") as work:
        assert work.resume("another") == {}
        work.commit(None)
    assert 50 not in store.read("v", {"id": NAMES}).python("n")


def test_a_full_disk_is_told_in_four_parts(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    folder = tmp_path / "store"
    shutil.copytree(base, folder)
    store, before = Store(folder), state(Store(base))

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
        with pytest.raises(BoxError) as caught:
            push(store, NAMES, 40)
        assert str(folder) in caught.value.what
        assert "unchanged" in caught.value.why
        assert "df -h" in caught.value.fix
        with pytest.raises(BoxError):
            load(store, NAMES, 40)

    assert faults.run(limited, 10**6, "kill") == faults.FINISHED
    assert state(Store(folder)) == before
