"""A body becomes the same arguments, or the same error, by the fast ways as by BentoML's models."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from _bentoml_sdk.io_models import IODescriptor
from bentoml.validators import DType, Shape
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boxplat.serving.codecs import reader
from boxplat.serving.codecs.models import reads
from tests.serving.codecs.alike import outcome


def array(x: np.ndarray, y: float = 2.0): ...
def several(x: Annotated[np.ndarray, DType("float32")], y: np.ndarray, n: int, on: bool = True, name: str = "a"): ...
def shaped(x: Annotated[np.ndarray, DType("int64"), Shape((2, 2))]): ...
def small(x: Annotated[np.ndarray, DType("uint8")]): ...
def root(x: np.ndarray, /): ...
def shaped_root(x: Annotated[np.ndarray, DType("float32"), Shape((2, 2))], /): ...
def tensor(x: torch.Tensor, y: float = 1.0): ...
def typed_tensor(x: Annotated[torch.Tensor, DType("float32")], n: int = 1): ...
def shaped_tensor(x: Annotated[torch.Tensor, DType("int64"), Shape((2, 2))]): ...
def tensor_root(x: Annotated[torch.Tensor, DType("float32")], /): ...
def number(x: float, /): ...


def text(x: str, /): ...


def maybe_text(x: str = "a", /): ...


def unknown_type(x: Annotated[np.ndarray, DType("no_such_type")]): ...
def mixed(x: np.ndarray, y: int | None = None): ...
def default(x: np.ndarray, y: Any = None): ...


FUNCTIONS = [array, several, shaped, small, root, shaped_root, tensor, typed_tensor, shaped_tensor, tensor_root]
FUNCTIONS += [number, text, maybe_text, unknown_type, mixed, default]
_SPECS = {function: IODescriptor.from_input(function) for function in FUNCTIONS}
_WAYS = {function: (reader(spec), reads(spec)) for function, spec in _SPECS.items()}

_NUMBER = st.floats() | st.integers() | st.integers(-3, 300) | st.sampled_from([2**63, 2**64, 1e308, 10**400, -0.0])
_ROWS = st.recursive(_NUMBER, lambda inner: st.lists(inner, max_size=4), max_leaves=12)
_SQUARE = st.lists(st.lists(_NUMBER, min_size=2, max_size=2), min_size=2, max_size=2)
_OTHER = st.sampled_from([None, True, False, "a", "1", "\ud800", "é", {}, {"a": 1}, [None], ["a"], [[1], [2, 3]]])
_VALUE = _ROWS | _SQUARE | _OTHER
_MEMBER = st.tuples(st.sampled_from(["x", "y", "n", "on", "name", "z"]), _VALUE)
_FITTING = st.builds(
    lambda x, y, n, on, extra: {"x": x, "y": y, "n": n, "on": on, **extra},
    _VALUE,
    _VALUE,
    st.integers() | st.booleans(),
    st.booleans(),
    st.dictionaries(st.sampled_from(["name", "z"]), st.text(max_size=2) | _NUMBER, max_size=1),
)


def _object(members: list[tuple[str, Any]]) -> str:
    """As text, because a name may come twice."""
    return "{" + ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members) + "}"


_TEXT = st.one_of(st.lists(_MEMBER, max_size=4).map(_object), _FITTING.map(json.dumps), _VALUE.map(json.dumps))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@settings(deadline=None, max_examples=150)
@given(body=_TEXT.map(str.encode))
@example(b'{"x": [[1, 2], [3, 4]]}')
@example(b'{"x": [[1, 2], [3, 4]], "y": 1}')
@example(b'{"x": [1], "y": [2], "n": 1}')
@example(b"[[1, 2], [3, 4]]")
@example(b"")
def test_a_body_is_read_as_by_the_models(function: Any, body: bytes) -> None:
    fast, slow = _WAYS[function]
    assert outcome(fast, body) == outcome(slow, body)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """JSON with some bytes lost, doubled or changed."""
    body = draw(_TEXT).encode()
    at = draw(st.integers(0, len(body)))
    scrap = draw(
        st.sampled_from([b"", b"NaN", b"-", b"Infinity", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"0", b"e9", b"."])
    )
    return body[:at] + scrap + body[at + draw(st.integers(0, 2)) :]


@pytest.mark.parametrize(
    "function", [array, root, tensor, tensor_root, number, text], ids=lambda function: function.__name__
)
@settings(deadline=None, max_examples=150)
@given(body=_damaged())
@example("[[1]]".encode("utf-16"))
@example(b"[" * 300 + b"]" * 300)
@example(b"9" * 5000)
@example(b'{"x": ' + b"9" * 5000 + b"}")
def test_a_damaged_body_is_read_as_by_the_models(function: Any, body: bytes) -> None:
    fast, slow = _WAYS[function]
    assert outcome(fast, body) == outcome(slow, body)


@pytest.mark.parametrize(
    ("function", "body"),
    [
        (array, b'{"x": [[1, 2]]}'),
        (array, b'{"y": 3, "x": NaN}'),
        (several, b'{"x": 1, "y": 2, "n": 3, "on": false, "name": "z"}'),
        (shaped_root, b"[1, 2, 3, 4]"),
        (tensor, b'{"x": [1.5]}'),
        (tensor_root, b"[1]"),
    ],
)
def test_a_fitting_body_does_not_reach_the_models(function: Any, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxplat.serving.codecs.reading.reads", lambda spec: pytest.fail)
    assert reader(_SPECS[function])(body)
