"""Values that other stores change: exact in every form of an answer, and refused where they do not fit."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from boxplat.core.errors import BoxError
from boxplat.features.rows import Store
from boxplat.features.rows.kinds import FIXED, TEXT, kind_of
from boxplat.features.schema import Field, View
from tests.features.rows.worlds import VALUES, same

KEY = (Field("id", "INT64"),)


def stored(folder: Path, type_: str, column: Any, loaded: bool = False) -> Any:
    """The rows of a view with one field, after a push or a load of the column."""
    store, count = Store(folder), len(column)
    store.define(View("v", KEY, (Field("f", type_),)))
    keys = {"id": np.arange(count)}
    if loaded:
        with store.load("v") as work:
            work.write(0, 1, keys, np.full(count, 5), None, [("f", column)])
            work.commit(5)
    else:
        store.push("v", {**keys, "f": column, "t": np.full(count, 5)}, "t")
    return store.read("v", {"id": np.arange(count)})


def test_every_value_type_of_feast_is_tried() -> None:
    """A type that Feast gains must get a home here too."""
    from feast.value_type import ValueType

    ours = {*VALUES, "UNKNOWN", "NULL"}
    assert {kind.name for kind in ValueType} - ours == set()


@pytest.mark.parametrize("loaded", [False, True])
def test_int64_beyond_2_to_53_with_nulls(tmp_path: Path, loaded: bool) -> None:
    values = [2**53 + 1, None, -(2**63), 2**63 - 1, 0]
    rows = stored(tmp_path / "s", "INT64", pa.array(values), loaded)
    numbers, valid = rows.numpy("f")
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [2**53 + 1, 0, -(2**63), 2**63 - 1, 0]
    assert valid.tolist() == [True, False, True, True, True]
    assert rows.python("f") == values
    assert rows.arrow("f").equals(pa.array(values, pa.int64()))


@pytest.mark.parametrize("loaded", [False, True])
def test_nan_is_a_value_and_infinities_and_minus_zero_stay(tmp_path: Path, loaded: bool) -> None:
    values = [math.nan, None, math.inf, -math.inf, -0.0]
    rows = stored(tmp_path / "s", "DOUBLE", pa.array(values, pa.float64()), loaded)
    assert all(map(same, rows.python("f"), values))
    assert rows.statuses("f").tolist() == [1, 2, 1, 1, 1]
    assert rows.arrow("f").null_count == 1


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("STRING", ["", None, "a\0b", "é" * 300]),
        ("BYTES", [b"", None, b"\0", b"\0\0\xff"]),
        ("INT64_LIST", [[], None, [2**53 + 1], [-1, 0, 1]]),
        ("DOUBLE_LIST", [[], None, [0.1, -0.0], [math.inf]]),
        ("FLOAT_LIST", [[], None, [0.5], [1.5, 2.5]]),
        ("BOOL_LIST", [[], None, [True, False, True], [False]]),
        ("STRING_LIST", [[], None, ["", "a"], ["\0"]]),
        ("BYTES_LIST", [[], None, [b"", b"\0"], [b"x"]]),
        ("BOOL", [True, None, False, True]),
        ("FLOAT", [0.5, None, 1.5, float(np.float32(0.1))]),
        ("INT32", [2**31 - 1, None, -(2**31), 0]),
    ],
)
def test_empty_is_not_null(tmp_path: Path, type_: str, values: list[Any], loaded: bool) -> None:
    column = pa.array(values, kind_of(type_).arrow)
    rows = stored(tmp_path / "s", type_, column, loaded)
    assert all(map(same, rows.python("f"), values))
    assert rows.arrow("f").equals(column)
    assert rows.statuses("f").tolist() == [1, 2, 1, 1]


def test_microseconds_are_kept_and_naive_times_are_utc(tmp_path: Path) -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    rows = stored(tmp_path / "s", "UNIX_TIMESTAMP", [moment, moment.replace(tzinfo=None), None])
    assert rows.python("f") == [moment, moment, None]
    assert rows.numpy("f")[0][0] == np.datetime64("2024-02-29T23:59:59.999999")
    assert rows.arrow("f").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1_700_000_000]),
        pa.array([1_700_000_000_000], pa.timestamp("ms", tz="Europe/Rome")),
        pa.array([1_700_000_000_000_000_999], pa.timestamp("ns")),
        np.array(["2023-11-14T22:13:20"], "datetime64[s]"),
    ],
)
def test_times_of_any_unit_and_zone(tmp_path: Path, column: Any) -> None:
    found = stored(tmp_path / "s", "UNIX_TIMESTAMP", column).python("f")
    assert found == [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)]


def test_dates_are_midnights(tmp_path: Path) -> None:
    found = stored(tmp_path / "s", "UNIX_TIMESTAMP", [date(1969, 12, 31), None]).python("f")
    assert found == [datetime(1969, 12, 31, tzinfo=UTC), None]


def test_decimals_keep_their_digits(tmp_path: Path) -> None:
    values = [Decimal("1.10"), None, Decimal("-0.000000000000000000000000000001"), Decimal(10) ** 40]
    rows = stored(tmp_path / "s", "DECIMAL", values)
    assert [str(item) for item in rows.python("f")] == ["1.10", "None", "-1E-30", "1E+40"] or rows.python("f") == values
    column = pa.array([Decimal("12.340"), Decimal("-1.000")], pa.decimal128(20, 3))
    assert list(map(str, stored(tmp_path / "t", "DECIMAL", column).python("f"))) == ["12.340", "-1.000"]


def test_uuids_of_every_form(tmp_path: Path) -> None:
    one = UUID("01234567-89ab-cdef-0123-456789abcdef")
    assert stored(tmp_path / "a", "UUID", [one, str(one), one.bytes, None]).python("f") == [one, one, one, None]
    assert stored(tmp_path / "b", "UUID", pa.array([str(one)])).arrow("f").to_pylist() == [str(one)]


def test_maps_of_arrow_become_dicts(tmp_path: Path) -> None:
    column = pa.array([[("a", 2**60), ("b", None)], None, []], pa.map_(pa.string(), pa.int64()))
    rows = stored(tmp_path / "s", "MAP", column)
    assert rows.python("f") == [{"a": 2**60, "b": None}, None, {}]
    assert rows.arrow("f").equals(column)


def test_structs_of_arrow_become_dicts(tmp_path: Path) -> None:
    column = pa.array([{"x": 1, "y": ["a"]}, None])
    assert stored(tmp_path / "s", "STRUCT", column).python("f") == [{"x": 1, "y": ["a"]}, None]


@pytest.mark.parametrize(
    ("type_", "column", "expected"),
    [
        ("INT64", pa.array([1, None], pa.int32()), [1, None]),
        ("INT32", pa.array([7], pa.int64()), [7]),
        ("INT64", pa.array([3.0, None]), [3, None]),
        ("INT64", pa.array([Decimal("5")], pa.decimal128(10, 0)), [5]),
        ("DOUBLE", pa.array([3, None]), [3.0, None]),
        ("DOUBLE", pa.array([0.5], pa.float32()), [0.5]),
        ("DOUBLE", pa.array([Decimal("1.5")]), [1.5]),
        ("BOOL", pa.array([0, 1, None]), [False, True, None]),
        ("STRING", pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        ("STRING", pa.array(["a"], pa.large_string()), ["a"]),
        ("INT64_LIST", pa.array([[1, 2]], pa.list_(pa.int32())), [[1, 2]]),
        ("INT64_LIST", pa.array([[1, 2]], pa.list_(pa.int64(), 2)), [[1, 2]]),
        ("DOUBLE", pa.chunked_array([[1.0], [], [2.0]]), [1.0, 2.0]),
        ("STRING", pa.chunked_array([["a"], ["b"]]).slice(1), ["b"]),
        ("INT64", pa.nulls(2), [None, None]),
        ("STRING", pa.nulls(2), [None, None]),
        ("MAP", pa.nulls(1), [None]),
    ],
)
def test_other_widths_are_converted_when_that_is_exact(
    tmp_path: Path, type_: str, column: Any, expected: list[Any]
) -> None:
    assert all(map(same, stored(tmp_path / "s", type_, column).python("f"), expected))


@pytest.mark.parametrize(
    ("type_", "column"),
    [
        ("INT32", pa.array([2**31])),
        ("INT64", pa.array([2**63], pa.uint64())),
        ("INT64", pa.array([1.5])),
        ("INT64", pa.array(["1"])),
        ("INT64", pa.array([True])),
        ("INT64", [2**63]),
        ("DOUBLE", pa.array([2**53 + 1])),
        ("DOUBLE", pa.array(["0.5"])),
        ("FLOAT", pa.array([1e300])),
        ("BOOL", pa.array([2])),
        ("STRING", pa.array([1])),
        ("STRING", [b"x"]),
        ("UNIX_TIMESTAMP", pa.array(["2024-01-01"])),
        ("UUID", pa.array(["no uuid"])),
        ("DECIMAL", pa.array(["1,5"])),
        ("DECIMAL", [0.1]),
        ("JSON", ["{"]),
        ("INT32_LIST", [[2**31]]),
        ("INT64_LIST", [5]),
        ("STRING_LIST", ["text"]),
        ("MAP", [[1]]),
        ("MAP", [{"a": object()}]),
    ],
)
def test_what_does_not_fit_is_refused_by_view_and_field(tmp_path: Path, type_: str, column: Any) -> None:
    with pytest.raises(BoxError) as caught:
        stored(tmp_path / "s", type_, column)
    assert "'v'" in caught.value.what
    assert "'f'" in caught.value.what
    assert Store(tmp_path / "s").status("v").rows == 0


def test_the_heap_of_many_rows_is_gathered_in_pieces(tmp_path: Path) -> None:
    """Values larger than a piece, and more than one piece of them."""
    values = ["x" * (5 << 20), "", *(f"value {number}" * (number % 50) for number in range(30_000))]
    rows = stored(tmp_path / "s", "STRING", pa.array(values), loaded=True)
    assert rows.python("f") == values


def test_types_have_the_arrow_types_of_feast() -> None:
    from feast.types import from_feast_to_pyarrow_type, from_value_type
    from feast.value_type import ValueType

    for name in [*FIXED, *TEXT]:
        assert kind_of(name).arrow == from_feast_to_pyarrow_type(from_value_type(ValueType[name])), name


def test_ages_are_measured_to_the_microsecond(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.define(View("v", KEY, (Field("f", "INT64"),), ttl_us=100))
    store.push("v", {"id": [1], "f": [7], "t": np.array([1000])}, "t")
    for ids in ([1], [1, 2]):
        assert store.read("v", {"id": ids}, now_us=1100).status[0] == 1, "exactly the life time is inside"
        expired = store.read("v", {"id": ids}, now_us=1101)
        assert expired.status[0] == 4
        assert expired.python("f")[0] is None
        assert expired.event_us[0] == 1000
        assert store.read("v", {"id": ids}, now_us=5).status[0] == 1, "an event after now is present"
    assert store.read("v", {"id": [1, 1]}, now_us=np.array([1100, 1101])).status.tolist() == [1, 4]
    now = datetime.now(UTC)
    store.push("v", {"id": [1], "f": [8], "t": [now - timedelta(microseconds=1)]}, "t")
    assert store.read("v", {"id": [1]}).status.tolist() == [4], "the clock counts when no moment is given"
