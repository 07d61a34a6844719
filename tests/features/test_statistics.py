"""Distributions of columns, against plain Python."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.features.database import Defaults, connect
from boxplat.features.statistics import BINS, Distribution, distribution

NUMBERS = st.one_of(st.none(), st.floats(-1e9, 1e9), st.sampled_from([math.nan, math.inf, 1e300, -1e300, 5e-324]))


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(Defaults()) as con:
        yield con


def of(con: duckdb.DuckDBPyConnection, values: list[Any], kind: pa.DataType) -> Distribution:
    """The distribution of one column of an Arrow table."""
    con.register("given", pa.table({"a b": pa.array(values, kind)}))
    ((name,),) = con.execute("SELECT typeof(\"a b\") FROM given UNION SELECT '' ORDER BY 1 DESC LIMIT 1").fetchall()
    return distribution(con, "given", "a b", name)


@settings(deadline=None)
@given(values=st.lists(NUMBERS, min_size=1, max_size=60))
def test_every_row_is_in_one_place(con: duckdb.DuckDBPyConnection, values: list[float | None]) -> None:
    """Nulls, NaN and infinities apart, each value is in one bin, or below or above all."""
    found = of(con, values, pa.float64())
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert (found.rows, found.nulls) == (len(values), values.count(None))
    assert found.odd == len(values) - len(finite) - found.nulls and found.distinct == len(set(finite))
    if not finite:
        assert found.histogram is None and found.quantiles is None
        return
    assert found.histogram is not None and found.quantiles is not None
    assert (found.minimum, found.maximum) == (min(finite), max(finite))
    told, edges = found.histogram, found.histogram.edges
    assert sum(told.counts) + told.below + told.above == len(finite) and len(edges) == len(told.counts) + 1 <= BINS + 1
    assert told.below == sum(value < edges[0] for value in finite)
    if max(map(abs, finite)) < 1e12:
        assert found.quantiles["0.5"] == pytest.approx(statistics.median(finite), rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(values=st.lists(st.integers(-40, 40), min_size=1, max_size=80))
def test_few_whole_numbers_have_a_bar_each(con: duckdb.DuckDBPyConnection, values: list[int]) -> None:
    found = of(con, values, pa.int64()).histogram
    assert found is not None
    counted = Counter(values)
    for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False):
        assert low % 1 == 0.5 and count == sum(counted[n] for n in range(math.ceil(low), math.ceil(high)))


def test_far_outliers_do_not_hide_the_middle(con: duckdb.DuckDBPyConnection) -> None:
    found = of(con, [*(n / 100 for n in range(1000)), 1e6], pa.float64())
    assert found.maximum == 1e6 and found.histogram is not None
    assert found.histogram.edges[-1] < 11 and found.histogram.above >= 1
    assert max(found.histogram.counts) < 60


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["a", "b", "b", None], pa.string(), ("category", 2, (("b", 2), ("a", 1)))),
        ([True, False, True], pa.bool_(), ("category", 2, (("true", 2), ("false", 1)))),
        (["x" * 500], pa.string(), ("category", 1, (("x" * 80, 1),))),
        ([[1.0, 2.0], [], None], pa.list_(pa.float32()), ("length", 2, ())),
        ([b"\x00"], pa.binary(), ("other", None, ())),
        ([None, None], pa.string(), ("category", 0, ())),
    ],
)
def test_what_is_no_number_is_counted(
    con: duckdb.DuckDBPyConnection, values: list[Any], kind: pa.DataType, expected: tuple[Any, ...]
) -> None:
    found = of(con, values, kind)
    assert (found.kind, found.distinct, found.top) == expected
    assert found.nulls == values.count(None)


def test_times_are_seconds_since_the_epoch(con: duckdb.DuckDBPyConnection) -> None:
    found = of(con, [1_500_000, 3_000_000], pa.timestamp("us"))
    assert (found.kind, found.minimum, found.maximum) == ("time", 1.5, 3.0)
