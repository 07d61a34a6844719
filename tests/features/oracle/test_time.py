"""Which moment of a history an entity row may see."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from tests.features.oracle.small import DAY, answered, at, history, request, values

if TYPE_CHECKING:
    from tests.features.oracle.world import World

US = 1e-6
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_a_feature_of_the_very_moment_counts(world: World) -> None:
    assert values(world, history((1, 10, 10, 7)), (1, 10)) == [7]


def test_a_feature_a_microsecond_later_does_not(world: World) -> None:
    assert values(world, history((1, 10 + US, 10, 7)), (1, 10)) == [None]


def test_the_latest_before_the_moment_wins_whatever_the_order_in_the_file(world: World) -> None:
    assert values(world, history((1, 3, 3, 3), (1, 5, 5, 5), (1, 1, 1, 1), (1, 9, 9, 9)), (1, 6)) == [5]


@pytest.mark.parametrize(("age", "seen"), [(3600, 7), (3600 + US, None), (3600 - US, 7)])
def test_a_time_to_live_ends_after_exactly_its_length(world: World, age: float, seen: int | None) -> None:
    view = history((1, 0, 0, 7), ttl_us=3_600_000_000)
    assert values(world, view, (1, age)) == [seen]


@pytest.mark.parametrize("ttl_us", [None, 0])
def test_without_a_time_to_live_features_never_age(world: World, ttl_us: int | None) -> None:
    assert values(world, history((1, -50_000 * DAY, 0, 7), ttl_us=ttl_us), (1, 0)) == [7]


def test_an_expired_row_keeps_its_entity_row(world: World) -> None:
    assert values(world, history((1, 0, 0, 7), ttl_us=1), (1, 10), (1, 0)) == [None, 7]


def test_rows_all_in_the_future_keep_their_entity_row(world: World) -> None:
    assert values(world, history((1, 20, 20, 7)), (1, 10)) == [None]


def test_an_expired_newest_row_does_not_bring_back_an_older_one(world: World) -> None:
    view = history((1, 0, 0, 1), (1, 5, 5, None), ttl_us=100_000_000)
    assert values(world, view, (1, 50), (1, 104), (1, 106)) == [None, None, None]


def test_times_before_the_epoch(world: World) -> None:
    long_ago = -60 * 365 * DAY
    assert values(world, history((1, long_ago, 0, 7)), (1, long_ago), (1, long_ago - US)) == [7, None]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "+05:30"])
@pytest.mark.parametrize("given_as", ["arrow", "pandas"])
def test_entity_times_of_any_zone_are_moments(world: World, zone: str, given_as: str) -> None:
    case = request(history((1, 0, 0, 7)), (1, 0), (1, -US), stamp=pa.timestamp("us", zone), given_as=given_as)
    assert answered(world, case)["value"].to_pylist() == [7, None]


@pytest.mark.parametrize("given_as", ["arrow", "pandas", "polars", "parquet"])
def test_naive_entity_times_are_utc(world: World, given_as: str) -> None:
    case = request(history((1, 0, 0, 7)), (1, 0), (1, -US), stamp=pa.timestamp("us"), given_as=given_as)
    assert answered(world, case)["value"].to_pylist() == [7, None]


@pytest.mark.parametrize("stamp", [pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.timestamp("ns")])
def test_source_times_without_a_zone_are_utc(world: World, stamp: pa.DataType) -> None:
    assert values(world, history((1, 0, 0, 7), stamp=stamp), (1, 0), (1, -US)) == [7, None]


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_coarser_units_on_both_sides(world: World, unit: str) -> None:
    stamp = pa.timestamp(unit, "UTC")
    assert values(world, history((1, 5, 5, 7), stamp=stamp), (1, 5), (1, 4), stamp=stamp) == [7, None]


@pytest.mark.parametrize("given_as", ["arrow", "pandas", "polars"])
def test_entity_times_as_text(world: World, given_as: str) -> None:
    case = request(history((1, 0, 0, 7)), (1, 0), (1, -US), stamp=pa.string(), given_as=given_as)
    assert answered(world, case)["value"].to_pylist() == [7, None]


def asked_at(world: World, times: pa.Array) -> list[object]:
    """The answers for key 1 at Arrow times of any type, over a history with 7 at 2026-03-01 and 8 a day later."""
    case = request(history((1, 0, 0, 7), (1, DAY, DAY, 8)), *[(1, 0)] * len(times))
    entity = pa.table({"key": pa.array([1] * len(times)), "event_timestamp": times})
    found: list[object] = world.ask_with(case, entity).to_arrow()["value"].to_pylist()
    return found


def test_text_with_an_offset_and_text_without_one(world: World) -> None:
    times = pa.array(["2026-03-01T00:00:00Z", "2026-03-01T00:30:00+01:00", "2026-03-01 00:00:00", "2026-03-01"])
    assert asked_at(world, times) == [7, None, 7, 7]


def test_entity_dates_are_midnight_utc(world: World) -> None:
    days = [datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]
    times = pa.array([day.date() for day in days], pa.date32())
    assert asked_at(world, times) == [None, 7, 8]


def test_entity_times_finer_than_a_microsecond_do_not_see_the_future(world: World) -> None:
    nanoseconds = [at(0) * 1000 - 1, at(0) * 1000, at(0) * 1000 + 999]  # type: ignore[operator]
    times = pa.array(nanoseconds, pa.int64()).cast(pa.timestamp("ns", "UTC"))
    assert asked_at(world, times) == [None, 7, 7]


def test_the_hour_that_comes_twice_in_autumn(world: World) -> None:
    """In New York 01:30 came twice on 2025-11-02: at 05:30Z and 06:30Z."""
    first = (datetime(2025, 11, 2, 5, 30, tzinfo=UTC) - datetime(2026, 3, 1, tzinfo=UTC)).total_seconds()
    view = history((1, first + 600, 0, 7))
    stamp = pa.timestamp("us", "America/New_York")
    for given_as in ("arrow", "pandas"):
        case = request(view, (1, first), (1, first + 3600), stamp=stamp, given_as=given_as)
        assert answered(world, case)["value"].to_pylist() == [None, 7]


def test_an_entity_row_without_a_time_sees_nothing(world: World) -> None:
    assert values(world, history((1, 0, 0, 7)), (1, None), (1, 0)) == [None, 7]


def test_history_without_a_time_is_never_seen(world: World) -> None:
    assert values(world, history((1, None, 0, 7), (1, 0, 0, 8)), (1, 0), (1, 10)) == [8, 8]


def test_the_only_time_column_need_not_be_called_event_timestamp(world: World) -> None:
    case = request(history((1, 0, 0, 7)), (1, 0))
    rows = [{"row": 0, "key": 1, "when": at(0)}]
    types = {"row": pa.int64(), "key": pa.int64(), "when": pa.timestamp("us", "UTC")}
    for given_as in ("pandas", "arrow"):
        renamed = replace(case, rows=rows, types=types, timestamp="when", given_as=given_as)
        assert answered(world, renamed)["value"].to_pylist() == [7]


def test_the_created_cutoff_changes_which_row_wins(world: World) -> None:
    """The newest row was written only later: the older one is what was known then."""
    view = history((1, 0, 1, 1), (1, 5, 100, 5))
    assert values(world, view, (1, 10), (1, 100), cutoff=True) == [1, 5]
    assert values(world, view, (1, 10), cutoff=False) == [5]


def test_the_created_cutoff_undoes_a_correction_of_the_same_moment(world: World) -> None:
    view = history((1, 5, 6, 5), (1, 5, 50, 55))
    assert values(world, view, (1, 10), (1, 50), cutoff=True) == [5, 55]


def test_under_the_created_cutoff_a_row_without_created_was_never_known(world: World) -> None:
    assert values(world, history((1, 5, None, 5)), (1, 10), cutoff=True) == [None]


def test_the_created_cutoff_leaves_views_without_created_alone(world: World) -> None:
    assert values(world, history((1, 5, 100, 5), created=None), (1, 10), cutoff=True) == [5]
