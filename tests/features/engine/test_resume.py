"""What was done before a kill is neither lost nor done twice."""

from __future__ import annotations

import pickle
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxplat.features import rows
from boxplat.features.engine.plan import Plan
from boxplat.features.rows.load import Load

from .conftest import BASE_US, DAY_US, loaded, many, plan_of

KEYS, FIELDS = {"airport": "INT64"}, {"wind": "DOUBLE", "seen": "INT64", "name": "STRING"}
COUNT, LIMIT = 120_000, 2_000_000
# Without Feast, whose import takes longer than the load.
CHILD = """
import pickle, sys
from boxplat.features import rows
from boxplat.features.engine.load import load
from boxplat.features.engine.plan import Options
from boxplat.features.database import connect
plan, target, limit = pickle.load(sys.stdin.buffer)
with connect(Options()) as db:
    print("begin", flush=True)
    store = rows.Store(target)
    store.define(plan.view)
    load(store, plan, db, limit, lambda rows: lambda done: None)
"""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the partitions that are written; the third one fails once."""
    seen: list[int] = []
    original = Load.write

    def write(self: Load, partition: int, *rest: Any) -> int:
        seen.append(partition)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return original(self, partition, *rest)

    monkeypatch.setattr(Load, "write", write)
    return seen


def test_finished_partitions_are_not_done_again(tmp_path: Path, written: list[int]) -> None:
    plan = plan_of(many(tmp_path / "reports.parquet", 3_000), KEYS, FIELDS)
    store = rows.Store(tmp_path / "online")
    with pytest.raises(KeyboardInterrupt):
        loaded(store, plan, 50_000)
    assert written == [0, 1, 2] and store.status("reports").rows == 0
    assert loaded(store, plan, 50_000) == 3_000
    assert written[:4] == [0, 1, 2, 2] and len(written) == len(set(written)) + 1
    assert store.status("reports").rows == 3_000 and not (store.folder / "reports" / "loading").exists()


def test_a_changed_source_starts_anew(tmp_path: Path, written: list[int]) -> None:
    path = many(tmp_path / "reports.parquet", 3_000)
    store = rows.Store(tmp_path / "online")
    with pytest.raises(KeyboardInterrupt):
        loaded(store, plan_of(path, KEYS, FIELDS), 50_000)
    many(path, 3_000, seed=8)
    assert loaded(store, plan_of(path, KEYS, FIELDS), 50_000) == 3_000
    assert written[3] == 0
    uninterrupted = rows.Store(tmp_path / "other")
    loaded(uninterrupted, plan_of(path, KEYS, FIELDS))
    assert everything(store, 3_000) == everything(uninterrupted, 3_000)


def test_a_load_up_to_now_is_continued_later(tmp_path: Path, written: list[int]) -> None:
    path = many(tmp_path / "reports.parquet", 3_000)
    store = rows.Store(tmp_path / "online")
    with pytest.raises(KeyboardInterrupt):
        loaded(store, plan_of(path, KEYS, FIELDS, (0, BASE_US + 100 * DAY_US)), 50_000)
    assert loaded(store, plan_of(path, KEYS, FIELDS, (0, BASE_US + 101 * DAY_US)), 50_000) == 3_000
    assert written[:4] == [0, 1, 2, 2]
    assert store.status("reports").watermark_us == BASE_US + 101 * DAY_US


def test_a_load_of_a_part_of_the_rows_is_not_continued_by_one_of_more(tmp_path: Path, written: list[int]) -> None:
    path = many(tmp_path / "reports.parquet", 3_000)
    store, other = rows.Store(tmp_path / "online"), rows.Store(tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        loaded(store, plan_of(path, KEYS, FIELDS, (0, BASE_US + DAY_US)), 50_000)
    later = plan_of(path, KEYS, FIELDS, (0, BASE_US + 100 * DAY_US))
    loaded(store, later, 50_000)
    assert written[3] == 0
    loaded(other, later)
    assert everything(store, 3_000) == everything(other, 3_000)


@pytest.mark.parametrize("limit", [20_000, 10_000_000], ids=["more partitions", "one partition"])
def test_another_division_starts_anew(tmp_path: Path, written: list[int], limit: int) -> None:
    plan = plan_of(many(tmp_path / "reports.parquet", 3_000), KEYS, FIELDS)
    store = rows.Store(tmp_path / "online")
    with pytest.raises(KeyboardInterrupt):
        loaded(store, plan, 50_000)
    assert loaded(store, plan, limit) == 3_000
    assert written[3] == 0 and store.status("reports").rows == 3_000


def everything(store: rows.Store, count: int) -> list[Any]:
    """All rows: every status, event time, value and its status."""
    found = store.read("reports", {"airport": np.arange(-count, count)})
    columns = [part for name in FIELDS for part in (found.arrow(name), found.statuses(name).tolist())]
    return [found.status.tolist(), found.event_us.tolist(), *columns]


@pytest.mark.integration
def test_killed_at_ten_moments(tmp_path: Path) -> None:
    """Whatever the moment, readers see all of the old or all of the new rows, and the next load ends as if nothing had
    happened."""
    path = many(tmp_path / "reports.parquet", COUNT)
    plan = plan_of(path, KEYS, FIELDS)
    whole = rows.Store(tmp_path / "whole")
    began = time.monotonic()
    assert loaded(whole, plan, LIMIT) == COUNT
    took, expected = time.monotonic() - began, everything(whole, COUNT)
    random.seed(20)
    target, killed = tmp_path / "online", 0
    while killed < 10:
        began = time.monotonic()
        if child(plan, target, took * random.random()):
            # The first load may have met a busy moment: then hardly any of these is killed before it ends.
            took = min(took, time.monotonic() - began)
            assert everything(rows.Store(target), COUNT) == expected
            shutil.rmtree(target)
            continue
        killed += 1
        store = rows.Store(target)
        assert "reports" not in store.views() or store.status("reports").rows in (0, COUNT)
    store = rows.Store(target)
    assert loaded(store, plan, LIMIT) == COUNT
    assert everything(store, COUNT) == expected
    assert not (store.folder / "reports" / "loading").exists()


def child(plan: Plan, target: Path, seconds: float) -> bool:
    """Load in another process and kill it after some seconds; whether it had ended by then."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(pickle.dumps((plan, target, LIMIT)))
        process.stdin.close()
        assert process.stdout.readline() == b"begin\n"
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False
