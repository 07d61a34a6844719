"""When two values count as equal."""

from __future__ import annotations

import base64
import gzip
import io
import json
import math
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.export.verify.values import Comparison

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(PLAIN)
def test_a_value_equals_its_copy(value: Any) -> None:
    assert Comparison().difference(value, pickle.loads(pickle.dumps(value))) == ""


@settings(deadline=None)
@given(st.floats(1e-3, 1e9), st.floats(1e-9, 1e-3))
def test_numbers_within_the_tolerance_are_equal_and_beyond_it_are_not(number: float, tolerance: float) -> None:
    other = number * (1 + tolerance * 0.9)
    beyond = number * (1 + tolerance * 1.5) + 1e-6
    assert Comparison(tolerance).difference([number], [other]) == ""
    if not math.isclose(number, beyond, rel_tol=tolerance):
        assert Comparison(tolerance).difference([number], [beyond]).startswith("[0]: ")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "['a']['b']: 1, then 2"),
        ([1, 2], [1], "2 items, then 1"),
        ({"a": 1}, {"b": 1}, "on one side only"),
        (1, True, "int, then bool"),
        ("1", 1, "str, then int"),
        (np.array([1, 2]), np.array([1.0, 2.0]), "['dtype']"),
        (pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": [1, 3]}), "['x'][1]: 2, then 3"),
        (ValueError("a"), KeyError("a"), "ValueError"),
        ({1, 2}, {1, 3}, "{1, 2}"),
    ],
)
def test_a_difference_says_where_it_is(one: Any, other: Any, said: str) -> None:
    assert said in Comparison().difference(one, other)


def test_places_are_the_same_wherever_they_lie() -> None:
    places = {"/data/me/box/.box/data": "DATA", "/data/me/box": "PROJECT", "/var/lib/data": "DATA", "/app": "PROJECT"}
    comparison = Comparison(places=places)
    assert comparison.difference("/data/me/box/.box/data/x.parquet", "/var/lib/data/x.parquet") == ""
    assert comparison.difference("/data/me/box/x", "/var/lib/data/x") != ""


def test_objects_of_the_flows_own_file_are_compared_by_their_attributes(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("class Count:\n    def __init__(self, n):\n        self.n = n\n")
    script = "import pickle,sys; sys.path.insert(0,'.'); import own; own.Count.__module__='__main__'; "
    script += "sys.modules['__main__'].Count = own.Count; sys.stdout.buffer.write(pickle.dumps(own.Count(%d)))"
    made = [subprocess.check_output([sys.executable, "-c", script % n], cwd=tmp_path) for n in (1, 2)]
    one, other = (base64.b64encode(gzip.compress(content)).decode() for content in made)
    pairs = [
        {"one": one, "other": again, "tolerance": 0.0, "varies": []}
        for again in (one, other, base64.b64encode(gzip.compress(b"x")).decode())
    ]
    done = subprocess.run(
        [sys.executable, "-m", "boxplat.export.verify.values"],
        input=json.dumps({"module": "own", "places": {}, "pairs": pairs}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    same, different, broken = json.loads(done.stdout)
    assert same == ""
    assert different == "['n']: 1, then 2"
    assert broken.startswith("cannot be read: UnpicklingError")


def test_entries_that_are_declared_to_vary_are_left_out() -> None:
    one: dict[str, Any] = {"MLmodel": 1, "head/MLmodel": 1, "x": {"MLmodel": 1}}
    other: dict[str, Any] = {"MLmodel": 2, "head/MLmodel": 2, "x": {"MLmodel": 1}}
    inside = {**other, "x": {"MLmodel": 2}}
    assert Comparison(varies=["*MLmodel"]).difference(one, other) == ""
    assert Comparison(varies=["MLmodel"]).difference(one, other).startswith("['head/MLmodel']")
    assert Comparison(varies=["*MLmodel"]).difference(one, inside) == "['x']['MLmodel']: 1, then 2"


def test_archives_are_compared_by_their_members_wherever_the_code_lay() -> None:
    def archive(place: str, weight: bytes, digest: str) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as opened:
            opened.writestr("model/model.json", f'{{"file": "{place}/model.py"}}')
            opened.writestr("model/weight_0", weight)
            opened.writestr("model/.data/serialization_id", digest)
        return made.getvalue()

    comparison = Comparison(places={"/task/metaflow": "FLOWS", "/data/me/flows": "FLOWS"})
    one, other = archive("/data/me/flows", b"1", "a"), archive("/task/metaflow", b"1", "b")
    assert comparison.difference({"m": one}, {"m": other}) == ""
    changed = comparison.difference({"m": one}, {"m": archive("/task/metaflow", b"2", "b")})
    assert changed == "['m']['model/weight_0']: b'1', then b'2'"
    assert comparison.difference({"m": one}, {"m": archive("/elsewhere", b"1", "b")}).startswith(
        "['m']['model/model.json']"
    )
