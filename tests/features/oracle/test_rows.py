"""Duplicates, nulls and keys: which row of a history belongs to an entity row."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from tests.features.oracle.model import Case, View
from tests.features.oracle.small import UTC_US, answered, at, history, request, values

if TYPE_CHECKING:
    from tests.features.oracle.world import World

BIG = 2**53 + 1
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_rows_of_one_moment_the_last_created_wins(world: World, order: tuple[int, ...]) -> None:
    rows = [(1, 0, 10, 1), (1, 0, 30, 3), (1, 0, 20, 2)]
    assert values(world, history(*(rows[n] for n in order)), (1, 50)) == [3]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_duplicate_without_created_loses(world: World, order: tuple[int, ...]) -> None:
    rows = [(1, 0, None, 1), (1, 0, -9_000, 2)]
    assert values(world, history(*(rows[n] for n in order)), (1, 50)) == [2]


def test_created_is_asked_only_where_the_moment_is_the_same(world: World) -> None:
    assert values(world, history((1, 0, 900, 1), (1, 5, 10, 2)), (1, 50)) == [2]


def test_a_lone_row_without_created_is_seen(world: World) -> None:
    assert values(world, history((1, 0, None, 1)), (1, 50)) == [1]


def test_rows_equal_in_all_that_decides_give_one_answer_each_time(world: World) -> None:
    """Whichever it is, it is one of them, whole, and the same with one thread and with four."""
    from tests.features.oracle.world import feature_view, references, write

    rows = [{"key": n % 7, "event_timestamp": at(0), "created": at(0), "a": n, "b": n} for n in range(5_000)]
    types = {"key": pa.int64(), "event_timestamp": UTC_US, "created": UTC_US, "a": pa.int64(), "b": pa.int64()}
    view = View("view", {"key": "key"}, {"a": "a", "b": "b"}, types, rows, created="created")
    case = request(view, *((n, 1.0) for n in range(7)))
    path = write(view, world.folder)
    from tests.features.oracle.world import entity_rows

    found = []
    for threads in (1, 4, 4):
        options = world.config.offline_store.model_copy(update={"threads": threads})
        config = world.config.model_copy(deep=False)
        config._offline_store = options
        job = world.offline.get_historical_features(
            config=config,
            feature_views=[feature_view(view, path)],
            feature_refs=references(case),
            entity_df=entity_rows(case, world.folder),
            registry=world.store.registry,
            project=world.store.project,
        )
        table = job.to_arrow()
        assert table["a"].to_pylist() == table["b"].to_pylist()
        assert [value % 7 for value in table["a"].to_pylist()] == list(range(7))
        found.append(table["a"].to_pylist())
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("given_as", ["pandas", "arrow", "polars", "reader", "parquet", "sql"])
def test_the_same_entity_row_n_times_gives_n_rows_in_their_order(world: World, given_as: str) -> None:
    case = request(history((1, 0, 0, 7), (2, 0, 0, 8)), (2, 5), (1, 5), (1, 5), (2, 5), (1, 5), given_as=given_as)
    found = answered(world, case)
    assert found["value"].to_pylist() == [8, 7, 7, 8, 7]
    assert found["row"].to_pylist() == [0, 1, 2, 3, 4]


def test_entity_columns_that_are_no_keys_come_back_as_they_were(world: World) -> None:
    case = request(history((1, 0, 0, 7)), (1, 5), (1, 5))
    extra = {"nested": pa.list_(pa.int64()), "note": pa.string(), "weight": pa.float64(), "big": pa.int64()}
    told = [
        {"nested": [1, 2], "note": "a", "weight": float("nan"), "big": BIG},
        {"nested": None, "note": None, "weight": 0.5, "big": None},
    ]
    rows = [row | more for row, more in zip(case.rows, told, strict=True)]
    answered(world, replace(case, types={**case.types, **extra}, rows=rows))


def test_the_latest_value_null_stays_null(world: World) -> None:
    assert values(world, history((1, 0, 0, 7), (1, 5, 5, None)), (1, 10)) == [None]


def test_integers_beyond_2_to_53_beside_nulls_are_exact(world: World) -> None:
    view = history((1, 0, 0, BIG), (2, 0, 0, None), (3, 0, 0, -(2**63)), (4, 0, 0, 2**63 - 1))
    assert values(world, view, (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)) == [BIG, None, -(2**63), 2**63 - 1, None]


def test_nan_is_a_value_and_null_is_none(world: World) -> None:
    view = history((1, 0, 0, float("nan")), (2, 0, 0, None), value=pa.float64())
    found = values(world, view, (1, 1), (2, 1), (3, 1))
    assert str(found[0]) == "nan" and found[1:] == [None, None]


def test_nan_reaches_pandas_as_nan(world: World) -> None:
    case = request(history((1, 0, 0, float("nan")), (2, 0, 0, 0.5), value=pa.float64()), (1, 1), (2, 1))
    found = world.ask_whole(case).to_df()["value"].tolist()
    assert str(found[0]) == "nan" and found[1] == 0.5


VALUES: list[tuple[pa.DataType, Any]] = [
    (pa.bool_(), True),
    (pa.int8(), -128),
    (pa.int16(), -7),
    (pa.int32(), 2**31 - 1),
    (pa.uint8(), 255),
    (pa.uint32(), 2**32 - 1),
    (pa.uint64(), 2**64 - 1),
    (pa.float32(), 0.5),
    (pa.string(), "naïve\x00'\""),
    (pa.binary(), b"\x00\xff"),
    (pa.date32(), None),
    (pa.decimal128(38, 10), Decimal("1234567890123456789012345678.0123456789")),
    (pa.decimal128(9, 2), Decimal("-0.01")),
    (pa.timestamp("us", "UTC"), at(1.000001)),
    (pa.timestamp("us"), at(1.000001)),
    (pa.list_(pa.int64()), [BIG, 1]),
    (pa.list_(pa.float64()), []),
    (pa.list_(pa.string()), ["a", None]),
    (pa.list_(pa.binary()), [b"\x00"]),
    (pa.list_(pa.list_(pa.int64())), [[1], []]),
    (pa.struct({"a": pa.int64(), "b": pa.string()}), {"a": BIG, "b": None}),
]


@pytest.mark.parametrize(("type_", "value"), VALUES, ids=[str(type_) for type_, _ in VALUES])
def test_values_and_types_are_the_sources(world: World, type_: pa.DataType, value: Any) -> None:
    """One value, one null, one row that is not there; the Arrow type is the file's."""
    if pa.types.is_date(type_):
        import datetime

        value = datetime.date(2026, 3, 1)
    view = history((1, 0, 0, value), (2, 0, 0, None), value=type_)
    values(world, view, (1, 1), (2, 1), (3, 1))


@pytest.mark.parametrize("type_", [pa.int64(), pa.string(), pa.float64(), pa.list_(pa.int64()), pa.bool_()])
def test_a_column_of_nulls_only_keeps_its_type(world: World, type_: pa.DataType) -> None:
    assert values(world, history((1, 0, 0, None), value=type_), (1, 1), (9, 1)) == [None, None]


@pytest.mark.parametrize("given_as", ["pandas", "arrow", "polars", "parquet"])
def test_a_null_key_matches_nothing_on_either_side(world: World, given_as: str) -> None:
    view = history((None, 0, 0, 7), (1, 0, 0, 8))
    case = request(view, (None, 5), (1, 5), given_as=given_as)
    assert answered(world, case)["value"].to_pylist() == [None, 8]


def test_an_unknown_entity_keeps_its_row(world: World) -> None:
    assert values(world, history((1, 0, 0, 7)), (2, 5), (1, 5)) == [None, 7]


def two_keys(rows: list[tuple[Any, Any, int]], asked: list[tuple[Any, Any]], type_: pa.DataType) -> Case:
    types = {"a": type_, "b": type_, "event_timestamp": UTC_US, "value": pa.int64()}
    told = [{"a": a, "b": b, "event_timestamp": at(0), "value": value} for a, b, value in rows]
    view = View("view", {"a": "a", "b": "b"}, {"value": "value"}, types, told)
    wanted = [{"a": a, "b": b, "event_timestamp": at(1)} for a, b in asked]
    return Case({"a": type_, "b": type_, "event_timestamp": UTC_US}, wanted, [view], given_as="arrow")


def test_several_keys_are_not_run_together(world: World) -> None:
    case = two_keys(
        [("1", "11", 1), ("11", "1", 2), ("", "111", 3)], [("11", "1"), ("1", "11"), ("111", "")], pa.string()
    )
    assert answered(world, case)["value"].to_pylist() == [2, 1, None]


def test_one_null_among_several_keys_matches_nothing(world: World) -> None:
    case = two_keys([("1", None, 1), ("1", "2", 2)], [("1", None), ("1", "2"), (None, "2")], pa.string())
    assert answered(world, case)["value"].to_pylist() == [None, 2, None]


def test_several_integer_keys_near_the_ends(world: World) -> None:
    low, high = -(2**63), 2**63 - 1
    case = two_keys(
        [(low, high, 1), (high, low, 2), (0, 0, 3)], [(high, low), (low, high), (0, 0), (low, low)], pa.int64()
    )
    assert answered(world, case)["value"].to_pylist() == [2, 1, 3, None]


def test_keys_that_differ_beyond_2_to_53(world: World) -> None:
    view = history((BIG, 0, 0, 1), (BIG - 1, 0, 0, 2), (-BIG, 0, 0, 3))
    assert values(world, view, (BIG - 1, 1), (BIG, 1), (-BIG, 1)) == [2, 1, 3]


@pytest.mark.parametrize(("source", "entity"), [(pa.int32(), pa.int64()), (pa.int64(), pa.int32())])
def test_integer_keys_of_different_widths(world: World, source: pa.DataType, entity: pa.DataType) -> None:
    view = history((2**31 - 1, 0, 0, 1), (-5, 0, 0, 2), key=source)
    assert values(world, view, (2**31 - 1, 1), (-5, 1), (6, 1), key=entity) == [1, 2, None]


def test_a_key_too_wide_for_the_source_is_unknown_not_an_error(world: World) -> None:
    view = history((1, 0, 0, 1), key=pa.int32())
    assert values(world, view, (2**32 + 1, 1), (1, 1)) == [None, 1]


def test_integer_keys_that_pandas_made_floats_beside_a_null(world: World) -> None:
    from tests.features.oracle.world import table

    case = request(history((1, 0, 0, 7), (2, 0, 0, 8)), (1, 1), (None, 1), (2, 1))
    entity = table(case.rows, dict(case.types)).to_pandas()
    assert str(entity["key"].dtype) == "float64"
    assert world.ask_with(case, entity).to_arrow()["value"].to_pylist() == [7, None, 8]


def test_unsigned_keys(world: World) -> None:
    view = history((2**64 - 1, 0, 0, 1), (5, 0, 0, 2), key=pa.uint64())
    assert values(world, view, (2**64 - 1, 1), (5, 1), key=pa.uint64()) == [1, 2]


def test_decimal_keys(world: World) -> None:
    type_ = pa.decimal128(38, 4)
    near = Decimal("1234567890123456789.0001"), Decimal("1234567890123456789.0002")
    view = history((near[0], 0, 0, 1), (near[1], 0, 0, 2), key=type_)
    assert values(world, view, (near[1], 1), (near[0], 1), key=type_) == [2, 1]


@pytest.mark.parametrize("key", ["", " ", "é", "e\u0301", "a'b", 'a"b', "N", "NULL", "x" * 5_000, "\U0001f600"])
def test_string_keys_of_every_kind(world: World, key: str) -> None:
    view = history((key, 0, 0, 1), ("other", 0, 0, 2), key=pa.string())
    assert values(world, view, (key, 1), (key + " ", 1), key=pa.string()) == [1, None]


def test_string_keys_that_differ_in_case_only(world: World) -> None:
    view = history(("a", 0, 0, 1), ("A", 0, 0, 2), key=pa.string())
    assert values(world, view, ("A", 1), ("a", 1), key=pa.string()) == [2, 1]


def test_dictionary_encoded_string_keys_of_a_pandas_category(world: World) -> None:
    case = request(history(("a", 0, 0, 1), key=pa.string()), ("a", 1), ("b", 1), key=pa.string())
    entity = pa.table(
        {"key": pa.array(["a", "b"]).dictionary_encode(), "event_timestamp": pa.array([at(1)] * 2, UTC_US)}
    )
    for given in (entity, entity.to_pandas()):
        assert world.ask_with(case, given).to_arrow()["value"].to_pylist() == [1, None]


def test_large_strings_from_polars_meet_the_files_strings(world: World) -> None:
    case = request(history(("a", 0, 0, 1), key=pa.string()), ("a", 1), key=pa.string())
    entity = pa.table({"key": pa.array(["a"], pa.large_string()), "event_timestamp": pa.array([at(1)], UTC_US)})
    assert world.ask_with(case, entity).to_arrow()["value"].to_pylist() == [1]


def trip(view: View, **sides: dict[str, str]) -> list[View]:
    return [replace(view, asked_as=side, aliases=aliases) for side, aliases in sides.items()]


def test_one_view_twice_under_aliases(world: World) -> None:
    """Origin and destination are both places, with the weather of each."""
    view = history((1, 0, 0, 10), (2, 0, 0, 20))
    types = {"origin_id": pa.int64(), "destination_id": pa.int64(), "event_timestamp": UTC_US}
    rows = [
        {"origin_id": a, "destination_id": b, "event_timestamp": at(1)} for a, b in [(1, 2), (2, 1), (1, 1), (3, None)]
    ]
    sides = trip(view, origin={"key": "origin_id"}, destination={"key": "destination_id"})
    found = answered(world, Case(types, rows, sides, full_names=True, given_as="pandas"))
    assert found["origin__value"].to_pylist() == [10, 20, 10, None]
    assert found["destination__value"].to_pylist() == [20, 10, 10, None]


def test_an_alias_for_one_of_two_keys(world: World) -> None:
    """The other key keeps its name; Feast's own store forgets it."""
    case = two_keys([(1, 1, 11), (1, 2, 12), (2, 2, 22)], [], pa.int64())
    types = {"from_a": pa.int64(), "b": pa.int64(), "event_timestamp": UTC_US}
    rows = [{"from_a": a, "b": b, "event_timestamp": at(1)} for a, b in [(1, 2), (2, 2), (2, 1)]]
    aliased = trip(case.views[0], origin={"a": "from_a"})
    found = answered(world, Case(types, rows, aliased, full_names=True, given_as="arrow"))
    assert found["origin__value"].to_pylist() == [12, 22, None]


def test_a_view_without_entities(world: World) -> None:
    """One history for all: the latest row before the moment, whatever else the entity row says."""
    types = {"event_timestamp": UTC_US, "value": pa.int64()}
    rows = [{"event_timestamp": at(t), "value": int(t)} for t in (5, 1, 9)]
    everywhere = View("everywhere", {}, {"value": "value"}, types, rows)
    assert values(world, everywhere, (1, 0), (2, 5), (None, 8), (1, 100)) == [None, 5, 5, 9]


def test_a_view_without_entities_beside_one_with(world: World) -> None:
    types = {"event_timestamp": UTC_US, "all": pa.string()}
    everywhere = View(
        "everywhere", {}, {"all": "all"}, types, [{"event_timestamp": at(0), "all": "x"}], ttl_us=10_000_000
    )
    found = answered(world, request([history((1, 0, 0, 7)), everywhere], (1, 5), (2, 11)))
    assert found["value"].to_pylist() == [7, None]
    assert found["all"].to_pylist() == ["x", None]
