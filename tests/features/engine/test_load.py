"""One view from files into the store: which rows, which values, how far."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from boxplat.core.errors import BoxError
from boxplat.features import rows
from boxplat.features.database import connect
from boxplat.features.engine.load import load
from boxplat.features.engine.plan import Options

from .conftest import BASE_US, DAY_US, contents, loaded, many, plan_of, times, write

KEYS = {"airport": "INT64"}
FIELDS = {"wind": "DOUBLE", "seen": "INT64", "name": "STRING"}


def test_values_are_what_they_were(store: rows.Store, tmp_path: Path) -> None:
    """Integers beyond 2^53 beside nulls, NaN that is no null, microseconds, empty text: nothing is rounded or lost."""
    path = write(
        tmp_path / "reports.parquet",
        {
            "airport": pa.array([3, -1, 2**62]),
            "ts": times([BASE_US + 1, BASE_US + 999_999, BASE_US]),
            "created": times([None, BASE_US, BASE_US]),
            "wind": pa.array([float("nan"), None, 0.1]),
            "seen": pa.array([2**53 + 1, None, -(2**63)]),
            "name": pa.array(["", None, "é"]),
        },
    )
    plan = plan_of(path, KEYS, FIELDS)
    assert loaded(store, plan) == 3
    found = contents(store, plan, {"airport": [3, -1, 2**62, 5]})
    assert str(found[0]) == str((rows.PRESENT, BASE_US + 1, float("nan"), 2**53 + 1, ""))
    assert found[1:] == [
        (rows.PRESENT, BASE_US + 999_999, None, None, None),
        (rows.PRESENT, BASE_US, 0.1, -(2**63), "é"),
        (rows.NOT_FOUND, 0, None, None, None),
    ]
    assert store.status("reports").watermark_us == plan.end_us


def test_a_view_without_keys(store: rows.Store, tmp_path: Path) -> None:
    path = write(tmp_path / "whole.parquet", {"ts": times([2, 9, 9, 1]), "wind": [0.0, 1.0, 2.0, 3.0]})
    plan = plan_of(path, {}, {"wind": "DOUBLE"}, created=None)
    assert loaded(store, plan) == 1
    assert contents(store, plan, {}) == [(rows.PRESENT, 9, 2.0)]


def test_rows_without_a_key_or_a_time_are_nobodys(store: rows.Store, tmp_path: Path) -> None:
    path = write(
        tmp_path / "reports.parquet",
        {"code": ["JFK", None, "LGA"], "ts": times([5, 6, None]), "wind": [1.0, 2.0, 3.0]},
    )
    plan = plan_of(path, {"code": "STRING"}, {"wind": "DOUBLE"}, created=None)
    assert loaded(store, plan) == 1
    assert contents(store, plan, {"code": ["JFK", "LGA"]}) == [(rows.PRESENT, 5, 1.0), (rows.NOT_FOUND, 0, None)]


@pytest.mark.parametrize(
    ("column", "last"),
    [
        (pa.array([0, 1, 2], pa.timestamp("us")), 1),
        (pa.array([0, 1_000, 2_000], pa.timestamp("ns", tz="Europe/Rome")), 1),
        (pa.array([0, 1, 2], pa.timestamp("ms", tz="UTC")), 1_000),
        (pa.array([0, 1, 2], pa.timestamp("s")), 1_000_000),
        (pa.array([0, 1, 2], pa.date32()), DAY_US),
        (pa.array(["1970-01-01", "1970-01-01T00:00:01Z", "1970-01-01T00:00:02"]), 1_000_000),
    ],
)
def test_times_of_any_type(store: rows.Store, tmp_path: Path, column: pa.Array, last: int) -> None:
    """The range ends between the second and the third row, whatever the unit; naive times are UTC."""
    path = write(tmp_path / "reports.parquet", {"airport": [1, 1, 1], "ts": column, "wind": [0.0, 1.0, 2.0]})
    plan = plan_of(path, {"airport": "INT64"}, {"wind": "DOUBLE"}, span=(0, last), created=None)
    assert loaded(store, plan) == 1
    assert contents(store, plan, {"airport": [1]}) == [(rows.PRESENT, last, 1.0)]


@pytest.mark.parametrize(
    ("declared", "column"),
    [("INT64", pa.array(["7"])), ("INT32", pa.array([2**40])), ("STRING", pa.array([7]))],
)
def test_a_key_of_another_type_is_refused(store: rows.Store, tmp_path: Path, declared: str, column: pa.Array) -> None:
    path = write(tmp_path / "reports.parquet", {"airport": column, "ts": times([1]), "wind": [1.0]})
    with pytest.raises(BoxError, match="cannot materialize reports") as caught:
        loaded(store, plan_of(path, {"airport": declared}, {"wind": "DOUBLE"}, created=None))
    assert "airport" in caught.value.why and declared in caught.value.why and "box features apply" in caught.value.fix


def test_keys_of_other_widths_are_the_same_keys(store: rows.Store, tmp_path: Path) -> None:
    path = write(tmp_path / "reports.parquet", {"airport": pa.array([7], pa.int16()), "ts": times([1]), "wind": [1.0]})
    plan = plan_of(path, {"airport": "INT64"}, {"wind": "DOUBLE"}, created=None)
    assert loaded(store, plan) == 1 and contents(store, plan, {"airport": [7]}) == [(rows.PRESENT, 1, 1.0)]


def test_of_equal_rows_the_later_in_file_order_counts(store: rows.Store, tmp_path: Path) -> None:
    """The files of a folder in the order of their names; a column that an older file lacks is null."""
    folder = tmp_path / "reports"
    folder.mkdir()
    same = {"airport": [1, 2], "ts": times([5, 5])}
    write(folder / "b.parquet", {**same, "wind": [3.0, 4.0]})
    write(folder / "a.parquet", {**same, "wind": [1.0, 2.0], "seen": [1, 1]})
    plan = plan_of(folder, {"airport": "INT64"}, {"wind": "DOUBLE", "seen": "INT64"}, created=None)
    assert loaded(store, plan) == 2
    assert contents(store, plan, {"airport": [1, 2]}) == [(rows.PRESENT, 5, 3.0, None), (rows.PRESENT, 5, 4.0, None)]


def test_an_empty_range_moves_only_the_watermark(store: rows.Store, tmp_path: Path) -> None:
    path = write(tmp_path / "reports.parquet", {"airport": [1], "ts": times([5]), "wind": [1.0]})
    plan = plan_of(path, {"airport": "INT64"}, {"wind": "DOUBLE"}, span=(0, 5), created=None)
    loaded(store, plan)
    assert loaded(store, replace(plan, start_us=6, end_us=9)) == 0
    assert contents(store, plan, {"airport": [1]}) == [(rows.PRESENT, 5, 1.0)]
    assert store.status("reports").watermark_us == 9


def test_pushed_rows_are_guarded_too(store: rows.Store, tmp_path: Path) -> None:
    """A push before the load that is newer than the file stays, an older one goes."""
    path = write(tmp_path / "reports.parquet", {"airport": [1, 2], "ts": times([5, 5]), "wind": [1.0, 1.0]})
    plan = plan_of(path, {"airport": "INT64"}, {"wind": "DOUBLE"}, created=None)
    store.define(plan.view)
    store.push("reports", pa.table({"airport": [1, 2, 3], "ts": times([9, 2, 1]), "wind": [7.0, 8.0, 9.0]}), "ts", None)
    assert loaded(store, plan) == 2
    assert [row[1:] for row in contents(store, plan, {"airport": [1, 2, 3]})] == [(9, 7.0), (5, 1.0), (1, 9.0)]


@pytest.mark.parametrize("keys", [{"airport": "INT64"}, {"name": "STRING", "airport": "INT64"}])
def test_any_number_of_partitions_gives_the_same_rows(tmp_path: Path, keys: dict[str, str]) -> None:
    """Divided by key, with rows of one key in several batches and files, and merged with what is there."""
    first = many(tmp_path / "first.parquet", 3_000, seed=1)
    second = many(tmp_path / "second.parquet", 4_000, seed=2)
    fields = {name: kind for name, kind in FIELDS.items() if name not in keys}
    results = []
    for number, limit in enumerate((2**40, 100_000, 30_000)):
        store = rows.Store(tmp_path / f"online{number}")
        counts = [loaded(store, plan_of(path, keys, fields), limit) for path in (first, second)]
        asked = {"airport": np.repeat(np.arange(-2_100, 2_100), 3)}
        if "name" in keys:
            asked["name"] = [f"s{n}" for n in range(len(asked["airport"]))]
        results.append((counts, str(contents(store, plan_of(second, keys, fields), asked))))
        assert not (store.folder / "reports" / "loading").exists()
    assert results[0] == results[1] == results[2]


def test_a_source_that_changes_meanwhile_is_not_mixed(store: rows.Store, tmp_path: Path) -> None:
    path = write(tmp_path / "reports.parquet", {"airport": [1, 2], "ts": times([5, 5]), "wind": [1.0, 1.0]})
    plan = plan_of(path, {"airport": "INT64"}, {"wind": "DOUBLE"}, created=None)
    loaded(store, plan)

    def rewritten(_: int) -> Callable[[int], object]:
        write(path, {"airport": [2, 1], "ts": times([6, 7]), "wind": [2.0, 3.0]})
        return lambda done: None

    with connect(Options()) as db, pytest.raises(BoxError, match="cannot materialize reports") as caught:
        load(store, plan, db, 2**40, rewritten)
    assert "changed while it was read" in caught.value.why
    assert contents(store, plan, {"airport": [1, 2]}) == [(rows.PRESENT, 5, 1.0)] * 2


def test_a_truncated_file(store: rows.Store, tmp_path: Path) -> None:
    path = many(tmp_path / "reports.parquet", 2_000)
    plan = plan_of(path, KEYS, FIELDS)
    loaded(store, plan)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BoxError, match="cannot "):
        loaded(store, plan_of(path, KEYS, FIELDS))
    assert store.status("reports").rows == 2_000


def test_the_second_of_two_at_once_is_told_who_is_first(tmp_path: Path) -> None:
    store = rows.Store(tmp_path / "online", timeout_s=0)
    plan = plan_of(many(tmp_path / "reports.parquet", 100), KEYS, FIELDS)
    store.define(plan.view)
    with store.load("reports"), pytest.raises(BoxError) as caught:
        loaded(rows.Store(tmp_path / "online", timeout_s=0), plan)
    assert caught.value.what == "cannot materialize reports" and f"process {os.getpid()}" in caught.value.why


@pytest.mark.parametrize("limit", [2**40, 100_000])
def test_a_full_disk(store: rows.Store, tmp_path: Path, limit: int) -> None:
    """A file cannot grow beyond 50 kB, as on a disk without room: while the segment, or what is spilled, is written."""
    plan = plan_of(many(tmp_path / "reports.parquet", 100, seed=1), KEYS, FIELDS)
    loaded(store, plan)
    large = plan_of(many(tmp_path / "large.parquet", 5_000, seed=2), KEYS, FIELDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = contents(store, plan, {"airport": range(-60, 60)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(BoxError, match="cannot materialize reports") as caught:
            loaded(store, large, limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(store.folder.rglob("spill-*"))
    assert str(store.folder) in caught.value.why and "df -h" in caught.value.fix
    assert str(contents(store, plan, {"airport": range(-60, 60)})) == str(before)
    assert loaded(store, large, limit) == 5_000
