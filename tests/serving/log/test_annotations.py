"""What a service says about its predictions, exactly as it comes back."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxplat.serving import annotate
from boxplat.serving.log import annotation, predictions, saying
from tests.serving.log.logs import ask, compacted, journal, rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def plain(value: Any) -> Any:
    """What the log makes of a number that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return [plain(one) for one in value] if isinstance(value, list) else value


def read_back(say: Any, facts: dict[str, str] | None = None) -> predictions.Predictions:
    slip = annotation.opened()
    say()
    annotation.close()
    return predictions.of(saying.text(slip), facts or {})


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.tuples(st.just(n), st.dictionaries(st.text(), st.lists(JSON, min_size=n, max_size=n), max_size=4))
    )
)
def test_columns_come_back_row_by_row(case: tuple[int, dict[str, list[Any]]]) -> None:
    count, columns = case
    found = read_back(lambda: annotate(rows=count, features=columns))
    assert found.rows == count and found.columns["problem"] is None
    features = found.columns["features"]
    assert features is not None
    assert [json.loads(text) for text in features] == [
        {name: plain(values[i]) for name, values in columns.items()} for i in range(count)
    ]


@given(st.dictionaries(st.text(), JSON))
def test_a_single_prediction_keeps_lists_as_values(features: dict[str, Any]) -> None:
    found = read_back(lambda: annotate(features=features)).columns["features"]
    assert found is not None and json.loads(found[0]) == {name: plain(value) for name, value in features.items()}


def test_every_kind_of_value(tmp_path: Path) -> None:
    """Arrays of NumPy and times in any zone and unit; microseconds and 64 bits are kept."""
    moment = datetime(2026, 3, 4, 5, 6, 7, 891011, timezone(timedelta(hours=-5)))
    big = 2**62 + 1

    def say() -> None:
        annotate(
            rows=2,
            keys={"carrier": ["UA", "AA"], "flight": np.array([big, 2]), "at": np.array([1, 2], "M8[s]")},
            features={"v__a": np.float32([0.1, np.nan]), "v__b": [None, math.inf], "v__c": [True, "x"]},
            ages={"v": np.array([1.5, np.nan])},
            as_of=np.array([moment.astimezone(UTC).replace(tzinfo=None)] * 2, "M8[ns]"),
            predictions=np.array([0.25, 0.5]),
        )
        annotate(model_version="12", feature_service="delay_v1")

    log = journal(tmp_path / "log")
    ask(log, 1, say=say)
    ask(log, 2, say=lambda: annotate(as_of=moment, keys={"carrier": "UA"}, predictions=0.5))
    log.flush()
    log._writer.end(0, 0)
    compacted(tmp_path / "log")
    first, second, single = rows(tmp_path / "log")
    assert json.loads(first["keys"]) == {"carrier": "UA", "flight": big, "at": 1_000_000}
    assert json.loads(first["features"]) == {"v__a": float(np.float32(0.1)), "v__b": None, "v__c": True}
    assert json.loads(second["features"]) == {"v__a": "NaN", "v__b": "Infinity", "v__c": "x"}
    assert json.loads(second["ages"]) == {"v": "NaN"} and second["prediction"] == "0.5"
    assert first["as_of"] == single["as_of"] == moment
    assert (first["model_version"], first["feature_service"], first["release"]) == ("12", "delay_v1", 7)
    assert [(row["id"][-1], row["row"], row["rows"]) for row in (first, second, single)] == [
        ("1", 0, 2),
        ("1", 1, 2),
        ("2", 0, 1),
    ]
    # A request's bodies stand once, not on each of a thousand rows.
    assert (first["input"], second["input"], second["input_bytes"]) == ("{}", None, None)


@given(st.lists(st.floats(), min_size=4, max_size=20))
def test_floats_come_back_bit_by_bit(values: list[float]) -> None:
    """Written as bits where there are many, of lists and of arrays; and arrays of vectors are no columns of floats."""
    wanted = [plain(value) for value in values]
    names = {f"f{i}": value for i, value in enumerate(values)}

    def say() -> None:
        annotate(rows=len(values), features={"list": values, "array": np.array(values)}, predictions=np.array(values))
        annotate(rows=len(values), keys={"vector": np.array([values] * len(values)), "mixed": [None, *values[1:]]})
        annotate(ages={**names, "text": "t"})

    found = read_back(say).columns
    features, ages, keys = ([json.loads(text) for text in found[name] or []] for name in ("features", "ages", "keys"))
    assert [row["list"] for row in features] == [row["array"] for row in features] == wanted
    assert found["prediction"] is not None and [json.loads(text) for text in found["prediction"]] == wanted
    assert ages == [{**{name: plain(value) for name, value in names.items()}, "text": "t"}] * len(values)
    assert [row["vector"] for row in keys] == [wanted] * len(values) and keys[0]["mixed"] is None


@pytest.mark.parametrize(
    "said",
    [
        lambda: annotate(rows=2, keys={"a": [1]}),
        lambda: annotate(rows=2, keys={"a": 7}),
        lambda: annotate(features={"a": _loop()}),
        lambda: annotate(rows=-1, keys={"a": []}),
        lambda: annotate(rows=2, keys={"\ud800": [1]}, model_version="\ud800"),
        lambda: (annotate(rows=2, keys={"a": [1, 2]}), annotate(rows=3, features={"b": [1, 2, 3]})),
        lambda: annotate(rows=2, keys={"carrier": "UA"}),
        lambda: annotate(rows=2, predictions="ab"),
        lambda: annotate(rows=2, keys={"a": _Broken()}),
        lambda: annotate(rows=2.0, keys={"a": [1, 2]}),  # type: ignore[arg-type]
        lambda: annotate(rows=np.zeros((2, 3)).shape, keys={"a": [1, 2]}),  # type: ignore[arg-type]
        lambda: annotate(features=7),  # type: ignore[arg-type]
    ],
    ids=[
        *("too few", "no column", "endless", "negative", "half a character", "two lengths", "a text", "a text of"),
        *("its own error", "half a row", "a shape", "no table"),
    ],
)
def test_wrong_annotations_are_named_and_lose_no_record(tmp_path: Path, said: Any) -> None:
    log = journal(tmp_path / "log")
    ask(log, 1, say=said)
    ask(log, 2)
    assert log.flush()
    found = rows(tmp_path / "log")
    assert {row["id"][-1] for row in found} == {"1", "2"}
    assert all((row["problem"] is not None) == (row["id"][-1] == "1") for row in found)


class _Broken:
    """A column of a service's own class."""

    def __len__(self) -> int:
        raise RuntimeError("not connected")


def test_unusual_annotations_are_read(tmp_path: Path) -> None:
    """Ranges, pandas' series as tables, NumPy's numbers of rows, and times that are none."""
    import pandas as pd

    log = journal(tmp_path / "log")
    ask(log, 1, say=lambda: annotate(rows=np.int64(3), keys={"i": range(3)}))  # type: ignore[arg-type]
    ask(log, 2, say=lambda: annotate(features=pd.Series({"a": 1.5, "b": 2.5})))
    ask(log, 3, say=lambda: annotate(rows=2, as_of=np.array(["NaT", "2026-01-01"], "M8[ns]")))
    ask(log, 4, say=lambda: annotate(as_of=10**30))  # type: ignore[arg-type]
    assert log.flush()
    log._writer.end(0, 0)
    compacted(tmp_path / "log")
    found = rows(tmp_path / "log")
    assert [row["keys"] for row in found[:3]] == ['{"i":0}', '{"i":1}', '{"i":2}']
    assert found[3]["features"] == '{"a":1.5,"b":2.5}'
    assert [row["as_of"] for row in found[4:]] == [None, datetime(2026, 1, 1, tzinfo=UTC), None]
    assert [row["problem"] for row in found] == [None] * 7


def test_rows_without_columns_are_no_memory(tmp_path: Path) -> None:
    """A billion of them would be a billion rows of the log."""
    log = journal(tmp_path / "log")
    ask(log, 1, say=lambda: annotate(rows=10**9, keys={}))
    assert log.dropped == 1


def _loop() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


def test_a_batch_is_shared_by_rows() -> None:
    """Each request gets its own rows of what the function said once; what holds for all is everybody's."""
    slips = [annotation.opened() for _ in range(3)]
    batch = annotation.opened()
    annotate(rows=6, features={"a": np.arange(6)}, predictions=list("uvwxyz"), model_version="3")
    annotation.share(batch, [(slips[0], 1), (None, 2), (slips[1], 3), (slips[2], 0)])
    found = [predictions.of(saying.text(slip), {}) for slip in slips]
    assert [one.rows for one in found] == [1, 3, 1]
    assert found[0].columns["features"] == ['{"a":0}'] and found[1].columns["prediction"] == ['"x"', '"y"', '"z"']
    assert found[1].columns["model_version"] == ["3"] * 3


def test_concurrent_requests_do_not_mix() -> None:
    async def request(number: int) -> annotation.Slip:
        slip = annotation.opened()
        await asyncio.sleep(0)
        await asyncio.to_thread(annotate, keys={"n": number})
        return slip

    async def all_of_them() -> list[annotation.Slip]:
        return await asyncio.gather(*map(request, range(20)))

    for number, slip in enumerate(asyncio.run(all_of_them())):
        assert [said.values["keys"]["n"] for said in slip] == [number]


def test_without_a_log_it_costs_nothing_and_loads_nothing() -> None:
    code = (
        "import sys; from boxplat.serving import annotate; annotate(keys={'a': 1}, rows=3);"
        "import boxplat.serving.log.journal;"
        "print(sorted({'numpy', 'pyarrow', 'duckdb', 'bentoml', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
