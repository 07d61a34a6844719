"""Due times against the library that Argo runs, and against the clock on the wall."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.cron import parse

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent / "robfig" / "answers.json").read_text())
# Where that library loses a day: the clock skips midnight east of Greenwich, or moves by half an hour.
DEFECTS = {"Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe"}


def _following(cron: str, zone: str, start: float, count: int) -> list[float]:
    found, at = [], start
    for _ in range(count):
        due = parse(cron, zone).next(at)
        assert due is not None
        found.append(at := due)
    return found


def test_due_times_are_those_of_argo() -> None:
    """Names, ranges, steps, days of month and week together, leap years, and every kind of change of clocks."""
    differing: set[tuple[str, str]] = set()
    compared = 0
    for cron, zone, start, steps in ANSWERS["due"]:
        minute = start // 60
        expected = [60.0 * (minute := minute + step) for step in steps]
        if _following(cron, zone, start, len(steps)) != expected:
            differing.add((zone, cron))
        compared += len(steps)
    assert compared > 10_000
    assert {zone for zone, _ in differing} <= DEFECTS
    assert len(differing) < 20


def test_a_day_that_argo_loses_is_not_lost_here() -> None:
    """Cairo's clock skips midnight on a Friday in April: five o'clock comes all the same."""
    begin = datetime(2026, 4, 23, 12, tzinfo=UTC).timestamp()
    due = parse("0 5 * * FRI", "Africa/Cairo").next(begin)
    assert due == datetime(2026, 4, 24, 5, tzinfo=ZoneInfo("Africa/Cairo")).timestamp()


@pytest.mark.parametrize("refused", ANSWERS["refused"])
def test_what_argo_refuses_is_refused(refused: str) -> None:
    cron, _, zone = refused.rpartition("|")
    with pytest.raises(ValueError, match=r"\w"):
        parse(cron, zone)


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 9 * * 7", "Sunday is 0 or SUN"),
        ("0 0 30 2 *", "no such day"),
        ("61 0 * * *", "minute 61 is not in 0 to 59"),
        ("0 0 * * FUN", "sun, mon"),
        ("@daily", "1 fields instead of five"),
    ],
)
def test_the_error_says_which_field(cron: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(cron)


_VALUE = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> str:
    kind = draw(st.sampled_from(["*", "one", "range", "step"]))
    first, second = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
    step = draw(st.integers(1, 7))
    return {"*": "*", "one": f"{first}", "range": f"{first}-{second}", "step": f"*/{step}"}[kind]


@given(
    cron=st.tuples(*(fields(*bounds) for bounds in _VALUE.values())).map(" ".join),
    zone=st.sampled_from(["UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Africa/Cairo"]),
    at=st.integers(1_700_000_000, 1_900_000_000),
)
@settings(max_examples=150, deadline=None)
def test_next_and_last_meet_with_nothing_between(cron: str, zone: str, at: int) -> None:
    try:
        one = parse(cron, zone)
    except ValueError:
        return
    due = one.next(at)
    assert due is not None and due > at and due % 60 == 0
    assert one.last(due) == due
    before = one.last(due - 1)
    assert before is None or (before <= at and one.next(before) == due)
    assert one.latest(at, due, 5) == [due]
