"""The codec of tensors: what goes through it comes back, and what does not fit is refused and never misread."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.tensors import (
    BF16,
    BYTES,
    DTYPES,
    Tensor,
    from_bytes,
    from_data,
    from_raw,
    to_data,
    to_raw,
)

_SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def numbers(draw: st.DrawFn) -> Tensor:
    datatype = draw(st.sampled_from(sorted(DTYPES)))
    return Tensor("x", datatype, draw(npst.arrays(DTYPES[datatype], _SHAPES)))


@st.composite
def strings(draw: st.DrawFn) -> Tensor:
    shape = draw(_SHAPES)
    count = int(np.prod(shape))
    return from_bytes("x", draw(st.lists(st.binary(max_size=6), min_size=count, max_size=count)), shape)


def _equal(one: Tensor, two: Tensor) -> bool:
    same = one.datatype == two.datatype and one.shape == two.shape
    return same and to_raw(one) == to_raw(two)


@given(numbers() | strings())
def test_raw_bytes_come_back(tensor: Tensor) -> None:
    found = from_raw("x", tensor.datatype, tensor.shape, to_raw(tensor))
    assert _equal(found, tensor)
    assert found.values.flags.writeable or found.values.size == 0


@given(numbers().filter(lambda one: one.datatype != BF16) | strings())
def test_json_comes_back(tensor: Tensor) -> None:
    data, encoded = to_data(tensor)
    found = from_data("x", tensor.datatype, tensor.shape, json.loads(json.dumps(data, allow_nan=False)), encoded)
    assert found.shape == tensor.shape
    if tensor.values.dtype.kind == "f":
        # What is not finite is null in JSON.
        expected = np.where(np.isfinite(tensor.values), tensor.values, np.nan).astype(tensor.values.dtype)
        np.testing.assert_array_equal(found.values, expected)
    else:
        assert _equal(found, tensor)


@given(strings())
def test_bytes_as_tritonclient_writes_them(tensor: Tensor) -> None:
    theirs = serialize_byte_tensor(tensor.values)
    assert to_raw(tensor) == (theirs.item() if theirs.size else b"")
    if tensor.values.size:
        assert deserialize_bytes_tensor(to_raw(tensor)).tolist() == tensor.values.ravel().tolist()


@given(numbers() | strings(), st.data())
def test_cut_or_longer_bytes_are_refused(tensor: Tensor, data: st.DataObject) -> None:
    raw = to_raw(tensor)
    wrong = raw + b"\0" if not raw or data.draw(st.booleans()) else raw[: data.draw(st.integers(0, len(raw) - 1))]
    with pytest.raises(InferenceError):
        from_raw("x", tensor.datatype, tensor.shape, wrong)


@given(
    st.sampled_from([*sorted(DTYPES), BYTES]),
    st.lists(st.integers(-1, 3) | st.floats() | st.booleans() | st.none(), max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=8,
    ),
)
def test_wild_json_is_refused_or_holds_what_its_shape_says(datatype: str, shape: list[Any], data: Any) -> None:
    try:
        found = from_data("x", datatype, shape, data)
    except InferenceError:
        return
    assert found.shape == shape
    assert found.values.dtype == DTYPES.get(datatype, np.dtype(object))


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT64", [1.5]),
        ("INT64", ["1"]),
        ("INT64", [True]),
        ("INT8", [128]),
        ("UINT8", [-1]),
        ("UINT64", [2**64]),
        ("INT64", [None]),
        ("FP32", ["1"]),
        ("FP32", [[1], [2, 3]]),
        ("FP32", [{}]),
        ("BOOL", [1]),
        ("BYTES", [1]),
        ("BF16", [1.0]),
        ("COMPLEX64", [1.0]),
        (None, [1.0]),
        ("FP32", 1.0),
    ],
)
def test_values_of_another_type(datatype: Any, data: Any) -> None:
    with pytest.raises(InferenceError):
        from_data("x", datatype, [1], data)


def test_largest_whole_numbers() -> None:
    for datatype in ("UINT64", "INT64"):
        limits = np.iinfo(DTYPES[datatype])
        found = from_data("x", datatype, [2], [int(limits.min), int(limits.max)])
        assert found.values.tolist() == [limits.min, limits.max]


@pytest.mark.parametrize("shape", [[1] * 65, [2**62, 2**62, 0], [2**70, 0], [10**9, 0]])
@pytest.mark.parametrize("datatype", ["FP64", "BYTES"])
def test_a_shape_that_no_array_may_have(datatype: str, shape: list[int]) -> None:
    """Or that would become a billion empty lists."""
    count = int(0 not in shape)
    with pytest.raises(InferenceError, match="too large"):
        from_data("x", datatype, shape, ["1" if datatype == "BYTES" else 1.0] * count)
    with pytest.raises(InferenceError, match="too large"):
        from_raw("x", datatype, shape, bytes(8 if datatype == "FP64" else 4) * count)


def test_a_huge_shape_allocates_nothing() -> None:
    with pytest.raises(InferenceError, match="byte size"):
        from_raw("x", "FP64", [2**40, 2**40], b"")
    with pytest.raises(InferenceError, match="elements"):
        from_data("x", "FP64", [2**62, 4], [1.0])
