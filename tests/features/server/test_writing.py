"""Pushes over HTTP: typed, seen by the next read, all or nothing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.features.server.conftest import Server

pytestmark = pytest.mark.integration

NEXT = "2026-02-03T04:05:06.123456Z"


def ride(driver: int, **more: Any) -> dict[str, list[Any]]:
    """One row of `rides`."""
    row = {
        "driver_id": driver,
        "km": 2.5,
        "count": 2**53 + 1,
        "seen": NEXT,
        "blob": base64.b64encode(b"\x00\xff").decode(),
        "event_timestamp": NEXT,
        "created": NEXT,
    }
    return {name: [value] for name, value in (row | more).items()}


def push(server: Server, df: dict[str, Any], to: str = "online", source: str = "rides_pushed") -> Any:
    return server.ask({"push_source_name": source, "df": df, "to": to}, "/push")


def read(server: Server, driver: int) -> dict[str, Any]:
    features = ["rides:km", "rides:count", "rides:seen", "rides:blob"]
    answer = server.ask({"features": features, "entities": {"driver_id": [driver]}})
    return {name: answer.column(name)["values"][0] for name in answer.json["metadata"]["feature_names"]} | {
        "status": answer.column("km")["statuses"][0],
        "time": answer.column("km")["event_timestamps"][0],
    }


def offline(repository: Path) -> list[dict[str, Any]]:
    """Every row of the pushed view's files."""
    files = [repository / "rides.parquet", *sorted((repository / "rides.parquet.parts").glob("*.parquet"))]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_a_push_is_seen_by_the_next_read_with_nothing_lost(server: Server) -> None:
    assert read(server, 100)["status"] == "NOT_FOUND"
    answer = push(server, ride(100))
    assert (answer.status, answer.content_type, answer.body) == (200, None, b"")
    found = read(server, 100)
    assert found["count"] == 2**53 + 1
    assert found["seen"] == 1770091506.123456
    assert (found["time"], base64.b64decode(found["blob"])) == (NEXT, b"\x00\xff")


def test_an_older_row_does_not_replace_a_newer_one(server: Server) -> None:
    push(server, ride(101, km=1.0))
    assert push(server, ride(101, km=0.0, event_timestamp="2026-02-03T04:05:06Z")).status == 200
    assert read(server, 101)["km"] == 1.0


def test_numbers_that_json_cannot_hold_come_as_texts(server: Server) -> None:
    assert push(server, ride(102, km="NaN", count=str(2**62))).status == 200
    found = read(server, 102)
    assert (found["km"], found["count"]) == ("NaN", 2**62)


def test_columns_may_be_mappings_as_pandas_writes_them(server: Server) -> None:
    df = {name: {"0": values[0]} for name, values in ride(103).items()}
    assert push(server, df).status == 200
    assert read(server, 103)["km"] == 2.5


def test_one_view_is_written_by_its_name(server: Server) -> None:
    answer = server.ask({"feature_view_name": "rides", "df": ride(104)}, "/write-to-online-store")
    assert (answer.status, answer.body) == (200, b"null")
    assert read(server, 104)["km"] == 2.5


def test_no_rows_are_no_mistake(server: Server) -> None:
    assert push(server, {name: [] for name in ride(1)}).status == 200


def test_a_push_to_both_stores_is_in_both(server: Server, repository: Path) -> None:
    before = len(offline(repository))
    assert push(server, ride(105), "online_and_offline").status == 200
    assert read(server, 105)["km"] == 2.5
    rows = offline(repository)
    assert len(rows) == before + 1
    assert (rows[-1]["driver_id"], rows[-1]["count"], rows[-1]["blob"]) == (105, 2**53 + 1, b"\x00\xff")
    assert rows[-1]["event_timestamp"].isoformat() == "2026-02-03T04:05:06.123456+00:00"


def test_a_push_to_the_files_alone_leaves_the_online_store(server: Server, repository: Path) -> None:
    before = len(offline(repository))
    assert push(server, ride(106), "offline").status == 200
    assert read(server, 106)["status"] == "NOT_FOUND"
    assert len(offline(repository)) == before + 1


BAD: dict[str, dict[str, Any]] = {
    "km": {"km": ["x"]},
    "count": {"count": [1.5]},
    "blob": {"blob": ["?"]},
    "seen": {"seen": ["yesterday"]},
    "event time": {"event_timestamp": [None]},
    "driver_id": {"driver_id": ["x"]},
    "key": {"driver_id": [None]},
    "length": {"km": [1.0, 2.0]},
}


@pytest.mark.parametrize("to", ["online", "online_and_offline"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_named_and_nothing_is_written(name: str, to: str, server: Server, repository: Path) -> None:
    before = len(offline(repository))
    answer = push(server, ride(107) | BAD[name], to)
    assert answer.status == 400
    assert name in answer.json
    assert read(server, 107)["status"] == "NOT_FOUND"
    assert len(offline(repository)) == before


def test_of_several_rows_one_bad_one_stops_all(server: Server) -> None:
    df = {name: [value[0]] * 2 for name, value in ride(108).items()} | {"km": [1.0, "x"], "driver_id": [108, 109]}
    assert push(server, df).status == 400
    assert {read(server, driver)["status"] for driver in (108, 109)} == {"NOT_FOUND"}


def test_a_missing_column_is_named(server: Server, repository: Path) -> None:
    df = ride(110)
    del df["count"]
    assert "count" in push(server, df).json
    whole = ride(110) | {"unknown": [1]}
    before = len(offline(repository))
    answer = push(server, whole, "online_and_offline")
    assert answer.status == 400 and "unknown" in answer.json
    assert read(server, 110)["status"] == "NOT_FOUND"
    assert len(offline(repository)) == before


def test_a_target_that_is_none_is_refused(server: Server) -> None:
    answer = push(server, ride(1), "sideways")
    assert (answer.status, "sideways" in answer.json) == (400, True)
