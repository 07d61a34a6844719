"""A value becomes the same bytes, or the same error, by the fast ways as by BentoML's models."""

from __future__ import annotations

import enum
import json
import struct
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
import torch
from _bentoml_sdk.io_models import IODescriptor
from bentoml.validators import ContentType, DataframeSchema, DType
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import BaseModel

from boxplat.serving.codecs import writer
from boxplat.serving.codecs.models import writes
from boxplat.serving.codecs.numbers import numbers
from tests.serving.codecs.alike import outcome

TYPES: dict[str, Any] = {
    "array": np.ndarray,
    "typed array": Annotated[np.ndarray, DType("float32")],
    "arrays": list[np.ndarray],
    "named arrays": dict[str, np.ndarray],
    "tensor": torch.Tensor,
    "frame": pd.DataFrame,
    "columns": Annotated[pd.DataFrame, DataframeSchema(orient="columns")],
    "float": float,
    "int": int,
    "bool": bool,
    "str": str,
    "none": None,
    "html": Annotated[str, ContentType("text/html")],
    "any": Any,
    "list": list,
    "dict": dict,
    "floats": list[float],
    "rows": list[list[float]],
    "ints": list[int],
    "named": dict[str, float],
    "records": list[dict[str, Any]],
    "by number": dict[int, float],
    "maybe": int | None,
    "either": str | int,
    "maybe text": str | None,
    "some": list[int | None],
    "maybe floats": list[float | None],
    "bytes": bytes,
    "pair": tuple[int, str],
}


def _ways(kind: Any) -> tuple[Any, Any]:
    def function() -> None: ...

    function.__annotations__["return"] = kind
    spec = IODescriptor.from_output(function)
    return writer(spec), writes(spec)


_WAYS = {name: _ways(kind) for name, kind in TYPES.items()}


class Colour(enum.StrEnum):
    RED = "red"


class Point(BaseModel):
    x: float = 1.0


class Keeping(dict[str, Any]):
    pass


_DTYPES = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes()
_ARRAY = hnp.arrays(_DTYPES | hnp.complex_number_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
_SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4))
_NUMPY = [np.float64(0.1), np.float32(0.1), np.int64(3), np.array([1e-5, 2]), np.matrix([[1]]), np.longdouble(1) / 3]
_NUMPY += [
    np.array(["a"]),
    np.array([None]),
    np.ma.array([1], mask=[True]),
    np.array(np.nan),
    np.zeros(3, dtype="M8[s]"),
]
_TORCH = [torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.bfloat16), torch.tensor(0.1)]
_PYTHON = [10**30, -(2**70), "\ud800", "é", b"a", (1, 2.5), Colour.RED, Point(), Keeping(a=1), datetime(2026, 1, 1)]
_PYTHON += [
    Decimal("1.5"),
    {1: 2},
    {None: 1},
    {True: 1},
    object(),
    {1},
    1e-5,
    1e16,
    1e-7,
    [1e-7] * 20,
    [1e-7, np.nan] * 20,
]
_ODD = st.sampled_from([*_NUMPY, *_TORCH, *_PYTHON])
_TREE = st.recursive(
    _SCALAR | _ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_LISTS = st.lists(st.floats()) | st.lists(st.integers()) | st.lists(st.lists(st.floats()), max_size=3)
_VALUE = st.one_of(
    _SCALAR, _TREE, _LISTS, _ARRAY, st.lists(_ARRAY, max_size=2), st.dictionaries(st.text(), st.floats())
)


@pytest.mark.parametrize("name", TYPES)
@settings(deadline=None, max_examples=100)
@given(value=_VALUE)
def test_a_value_is_written_as_by_the_models(name: str, value: Any) -> None:
    fast, slow = _WAYS[name]
    assert outcome(fast, value) == outcome(slow, value)


@settings(deadline=None, max_examples=500)
@given(array=_ARRAY)
@example(np.array([1e-5, 9.999e-5, 1e-4, 10.00001, 1e-7, 5e-324, 1e16, 1e22, -1e-9, -0.0, np.nan, np.inf, -np.inf]))
@example(np.float32([[1e-5, 2e-5]] * 40))
def test_an_array_of_any_type_is_written_as_by_the_models(array: np.ndarray) -> None:
    fast, slow = _WAYS["array"]
    assert outcome(fast, array) == outcome(slow, array)


@settings(deadline=None, max_examples=500)
@given(array=_ARRAY)
def test_a_tensor_of_any_type_is_written_as_by_the_models(array: np.ndarray) -> None:
    fast, slow = _WAYS["tensor"]
    tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("="))) if array.dtype.kind != "u" else None
    assert outcome(fast, tensor) == outcome(slow, tensor)


_NAMES = st.lists(
    st.sampled_from(["a", "b_1", "é", "a b", 'q"', "e-5", "0.00001", "1", 1, None]), min_size=1, max_size=3
)


@st.composite
def _frames(draw: st.DrawFn) -> pd.DataFrame:
    names = draw(_NAMES)
    rows = draw(st.integers(0, 3))
    kinds = [draw(_DTYPES | st.just(np.dtype("M8[ns]"))) for _ in names]
    columns = [pd.Series(draw(hnp.arrays(kind.newbyteorder("="), rows))) for kind in kinds if kind.char != "g"]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(rows))
    frame.columns = pd.Index(names[: len(columns)], dtype=object)
    return frame


@pytest.mark.parametrize("name", ["frame", "columns"])
@settings(deadline=None, max_examples=150)
@given(frame=_frames())
@example(pd.DataFrame({"a": [1e-5, 1e-7, np.nan], "e5": [1, 2, 3], "b": [True, False, True]}))
@example(pd.DataFrame({"a": [1e-5, np.nan] * 20}))
@example(pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1, 2.5]}, dtype=object, index=["i", "j"]))
@example(pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.Categorical(["x", "y"])}))
def test_a_frame_is_written_as_by_the_models(name: str, frame: pd.DataFrame) -> None:
    fast, slow = _WAYS[name]
    assert outcome(fast, frame) == outcome(slow, frame)


@settings(deadline=None, max_examples=1500)
@given(bits=st.integers(0, 2**64 - 1) | st.integers(0, 2**32 - 1))
def test_a_float_of_any_bits_is_written_as_by_python(bits: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    assert numbers([value, [value]], "constants") == json.dumps([value, [value]]).encode()


def test_an_integer_that_python_does_not_write_is_an_error() -> None:
    for name in ("int", "any", "list", "ints"):
        fast, slow = _WAYS[name]
        value = 10**5000 if name in ("int", "any") else [10**5000]
        assert outcome(fast, value) == outcome(slow, value) == ("raises", ValueError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("array", np.float32([[0.5]])),
        ("typed array", np.zeros((0, 3))),
        ("named arrays", {"a": np.arange(3)}),
        ("tensor", torch.ones(1, 2)),
        ("frame", pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]})),
        ("columns", pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]})),
        ("float", 0.5),
        ("float", np.float64(0.5)),
        ("str", "é"),
        ("html", "<p>"),
        ("any", {"a": [1, None, "b"]}),
        ("dict", {"a": [1e-5]}),
        ("rows", [[1.0], []]),
        ("maybe", None),
    ],
)
def test_a_fitting_value_does_not_reach_the_models(name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxplat.serving.codecs.writing.writes", lambda spec: pytest.fail)
    assert _ways(TYPES[name])[0](value)
