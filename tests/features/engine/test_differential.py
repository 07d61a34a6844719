"""Any sequence of loads against a loop over the rows that they cover."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.features import rows
from boxplat.features.database import connect
from boxplat.features.engine.load import load
from boxplat.features.engine.plan import Options

from .conftest import contents, plan_of, quiet, times, write

NONE = -(2**63)
LAST = 6
PARTS = {"INT64": st.integers(-2, 2), "STRING": st.sampled_from(["1", "11", ""]), "BOOL": st.booleans()}
ARROW = {"INT64": pa.int64(), "STRING": pa.string(), "BOOL": pa.bool_()}


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Any]:
    """A few rows of few keys, with nulls and ties, and the ranges that are loaded."""
    kinds = draw(st.lists(st.sampled_from(list(PARTS)), max_size=2))
    count = draw(st.integers(1, 12))
    column = st.lists(st.none() | st.integers(0, LAST), min_size=count, max_size=count)
    keys = [draw(st.lists(st.none() | PARTS[kind], min_size=count, max_size=count)) for kind in kinds]
    span = st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(sorted)
    return {
        "kinds": kinds,
        "keys": keys,
        "event": draw(column),
        "created": draw(st.none() | column),
        "value": [draw(st.none() | st.just(2**53 + number)) for number in range(count)],
        "spans": draw(st.lists(span, min_size=1, max_size=3)) + draw(st.lists(st.just([0, LAST]), max_size=2)),
        "limit": draw(st.sampled_from([1 << 40, 300])),
    }


def looped(case: dict[str, Any]) -> dict[tuple[Any, ...], tuple[int, Any]]:
    """Event time and value by key: row after row, one that is covered and not older takes the key's place."""
    best: dict[tuple[Any, ...], tuple[tuple[int, int], Any]] = {}
    for row, event in enumerate(case["event"]):
        key = tuple(column[row] for column in case["keys"])
        if event is None or None in key or not any(low <= event <= high for low, high in case["spans"]):
            continue
        created = None if case["created"] is None else case["created"][row]
        age = (event, NONE if created is None else created)
        if key not in best or age >= best[key][0]:
            best[key] = (age, case["value"][row])
    return {key: (age[0], value) for key, (age, value) in best.items()}


@given(sources())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_loads_in_any_order_repeated_and_overlapping(case: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = [f"k{number}" for number in range(len(case["kinds"]))]
        columns = {
            name: pa.array(values, ARROW[kind])
            for name, values, kind in zip(names, case["keys"], case["kinds"], strict=True)
        }
        created = {} if case["created"] is None else {"created": times(case["created"])}
        values = {"value": pa.array(case["value"], pa.int64())}
        path = write(Path(folder) / "rows.parquet", {**columns, "ts": times(case["event"]), **created, **values})
        keys = dict(zip(names, case["kinds"], strict=True))
        plan = plan_of(path, keys, {"value": "INT64"}, created="created" if created else None)
        store = rows.Store(Path(folder) / "online")
        store.define(plan.view)
        with connect(Options()) as db:
            for low, high in case["spans"]:
                load(store, replace(plan, start_us=low, end_us=high), db, case["limit"], quiet)
        expected = looped(case)
        asked = list(expected) or [
            tuple(False if kind == "BOOL" else "1" if kind == "STRING" else 1 for kind in case["kinds"])
        ]
        found = contents(store, plan, {name: [key[at] for key in asked] for at, name in enumerate(names)})
        nothing = (rows.NOT_FOUND, 0, None)
        assert found == [(rows.PRESENT, *expected[key]) if key in expected else nothing for key in asked]
        assert store.status("reports").rows == len(expected)
