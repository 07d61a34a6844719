"""Windows as change rows against a brute-force oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import duckdb
from flights import sources
from flights.windows import Window, change_rows
from hypothesis import given, settings
from hypothesis import strategies as st

Event = tuple[str, int, int]
WINDOWS = (
    Window("happened", 10, (("mean_10", "mean:delay"), ("count_10", "count"))),
    Window("happened", 25, (("mean_25", "mean:delay"),)),
    Window("happened", 0, (("state", "sum:delay"),)),
)
events = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(-5, 5)), min_size=1, max_size=40)


def oracle(found: Sequence[Event], key: str, t: int) -> tuple[float | None, int, float | None, int]:
    """The definition: an event counts when t - w < ts <= t."""
    mine = [(ts, delay) for k, ts, delay in found if k == key and ts <= t]
    ten = [delay for ts, delay in mine if ts > t - 10]
    more = [delay for ts, delay in mine if ts > t - 25]
    state = sum(delay for _, delay in mine)
    return (
        sum(ten) / len(ten) if ten else None,
        len(ten),
        sum(more) / len(more) if more else None,
        state,
    )


def as_of(con: duckdb.DuckDBPyConnection, key: str, t: int) -> tuple[float | None, int, float | None, int]:
    row = con.execute(
        "select mean_10, count_10, mean_25, state from rows where k = ? and event_timestamp <= make_timestamptz(?) "
        "order by event_timestamp desc limit 1",
        [key, t * 60_000_000],
    ).fetchall()
    return row[0] if row else (None, 0, None, 0)


@settings(max_examples=40, deadline=None)
@given(events)
def test_the_last_change_row_is_the_window(found: list[Event]) -> None:
    con = sources.connect(threads=1)
    con.execute("create table happened (k varchar, ts bigint, delay bigint)")
    con.executemany("insert into happened values (?, ?, ?)", found)
    con.execute(f"create table rows as {change_rows(('k',), WINDOWS)}")
    assert con.execute("select count(*) - count(distinct (k, event_timestamp)) from rows").fetchall() == [(0,)]
    for key in "ab":
        for t in {ts + step for _, ts, _ in found for step in (-1, 0, 9, 10, 11, 24, 25, 26)}:
            assert as_of(con, key, t) == oracle(found, key, t), (key, t)


def test_created_times_are_one_to_five_minutes_later_and_repeatable() -> None:
    def created() -> list[tuple[float]]:
        con = sources.connect(threads=1)
        con.execute("create table happened as select 'a' as k, i * 7 as ts, 1 as delay from range(200) t(i)")
        rows = change_rows(("k",), WINDOWS)
        sql = f"select epoch(created_timestamp - event_timestamp) / 60 from ({rows}) order by event_timestamp"
        return con.execute(sql).fetchall()

    first = created()
    assert first == created()
    assert {math.floor(late) for (late,) in first} == {1, 2, 3, 4, 5}
