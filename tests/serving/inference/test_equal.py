"""Each API gives through the protocol, in all its forms, what a plain POST of the same values gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.serving.inference.asking import WAYS, Arrays, Way, document, text
from tests.serving.inference.conftest import Served

pytestmark = pytest.mark.integration
F4 = np.arange(6, dtype="float32").reshape(2, 3)
FLIGHT = {"distance": 4.0, "carrier": "ÜA", "hours": [1, 2]}


@dataclass(frozen=True)
class Same:
    """One question.

    Attributes:
        kind: how the plain answer is read: "array", "scalar", "text", "json" (one BYTES element), "keys", "columns".
    """

    model: str
    body: Any
    arrays: Arrays
    kind: str = "array"

    def __str__(self) -> str:
        return f"{self.model}-{'-'.join(self.arrays)}"


def _int(value: int) -> np.ndarray[Any, Any]:
    return np.array([value])


SAME = [
    Same("scale", {"x": F4.tolist()}, {"x": F4}),
    Same("scale", {"x": F4.tolist(), "by": 0.5}, {"x": F4, "by": np.array([0.5])}),
    Same("in_place", {"x": [1, 2]}, {"x": np.array([1, 2])}),
    Same("in_place", {"x": [[1.5]]}, {"x": np.array([[1.5]])}),
    Same("whole", F4.tolist(), {"x": F4}),
    Same("doubled", {"x": [[1.0], [2.0]]}, {"x": np.array([[1.0], [2.0]])}),
    Same("tensor", {"x": F4.tolist()}, {"x": F4}),
    Same("add", {"a": 1}, {"a": _int(1)}, "scalar"),
    Same("add", {"a": -(2**63), "on": False}, {"a": _int(-(2**63)), "on": np.array([False])}, "scalar"),
    Same("add", {"a": 1, "b": 1}, {"a": np.array([1], "uint8"), "b": np.array([1], "float32")}, "scalar"),
    Same("upper", {"text": "é\0x"}, {"text": text("é\0x")}, "text"),
    Same("maybe", {"value": 3}, {"value": _int(3)}, "scalar"),
    Same("lengths", {"texts": ["a", "", "éé"]}, {"texts": text("a", "", "éé")}),
    Same("lengths", {"texts": []}, {"texts": np.empty((0,), object)}),
    Same("matrix", {"rows": [[1.5, 2], [3, 4]]}, {"rows": np.array([[1.5, 2], [3, 4]])}),
    Same("reverse", {"raw": "abc"}, {"raw": text("abc")}, "text"),
    Same("delay", {"flight": FLIGHT}, {"flight": document(FLIGHT)}, "keys"),
    Same(
        "flown",
        FLIGHT,
        {"distance": np.array([4.0]), "carrier": text("ÜA"), "hours": np.array([1, 2])},
        "keys",
    ),
    Same("several", {"n": 3}, {"n": _int(3)}, "keys"),
    Same("arrays", {"n": 3}, {"n": _int(3)}, "keys"),
    Same("total", {"rows": [{"a": 1, "b": 2.5}]}, {"rows": document([{"a": 1, "b": 2.5}])}, "records"),
    Same("total", {"rows": [{"a": 1, "b": 2.5}]}, {"a": _int(1), "b": np.array([[2.5]])}, "records"),
    Same("chosen", {"rows": {"a": [1, 2], "b": ["x", "y"]}}, {"a": np.array([1, 2]), "b": text("x", "y")}, "columns"),
    Same("untyped", {"value": {"x": [1, None]}}, {"value": document({"x": [1, None]})}, "json"),
    Same("odd", {"kind": "bool"}, {"kind": text("bool")}),
    Same("odd", {"kind": "text"}, {"kind": text("text")}, "texts"),
    Same("odd", {"kind": "point"}, {"kind": text("point")}),
    Same("odd", {"kind": "empty"}, {"kind": text("empty")}, "empty"),
    Same("odd", {"kind": "big"}, {"kind": text("big")}),
    Same("odd", {"kind": "half"}, {"kind": text("half")}),
    Same("agent", {}, {}, "keys"),
    Same("later", {"n": 3}, {"n": _int(3)}, "scalar"),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("same", SAME, ids=str)
def test_plain_post(served: Served, http: Any, grpc: Any, same: Same, way: Way) -> None:
    body = served.plain(f"/{same.model}", same.body)
    found = way(http, grpc, same.model, same.arrays)
    _compare(same.kind, body, found)


def _compare(kind: str, body: bytes, found: dict[str, np.ndarray[Any, Any]]) -> None:
    if kind == "text":
        assert found["output"].tolist() == [body] or found["output"].tolist() == [body.decode()]
        return
    value = json.loads(body)
    if kind == "keys":
        assert {name: _value(values) for name, values in found.items()} == {
            name: inner if isinstance(inner, list) or _is_json(inner) else [inner] for name, inner in value.items()
        }
    elif kind == "records":
        assert [dict(zip(found, row, strict=True)) for row in zip(*map(_value, found.values()), strict=True)] == value
    elif kind == "columns":
        assert {name: _value(values) for name, values in found.items()} == value
    elif kind == "json":
        assert json.loads(found["output"][0]) == value
    elif kind == "empty":
        assert found["output"].shape == (0, 3) and value == []
    else:
        assert _value(found["output"]) == ([value] if kind == "scalar" else value)


def _is_json(value: Any) -> bool:
    return isinstance(value, dict)


def _value(values: np.ndarray[Any, Any]) -> Any:
    if values.dtype != object:
        return values.tolist()
    texts = [one if isinstance(one, str) else one.decode() for one in values.flat]
    if len(texts) == 1 and texts[0].startswith("{"):
        return json.loads(texts[0])
    return np.array(texts, object).reshape(values.shape).tolist()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_datatypes_stay_what_they_are(http: Any, grpc: Any, way: Way) -> None:
    """An array without an annotated dtype keeps the tensor's: it never goes through Python's numbers."""
    for dtype in "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64".split():
        values = np.array([[0, 1]], dtype)
        found = way(http, grpc, "whole", {"x": values})["output"]
        assert found.dtype == values.dtype
        assert found.tolist() == values.tolist()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_not_a_number(served: Served, http: Any, grpc: Any, way: Way) -> None:
    """Raw tensors hold what JSON cannot: infinite numbers; in JSON both are null, as in the plain answer."""
    found = way(http, grpc, "odd", {"kind": text("nan")})["output"].tolist()
    assert json.loads(served.plain("/odd", {"kind": "nan"})) == [None, None, 1.0]
    assert np.isnan(found[0]) and found[2] == 1
    assert np.isnan(found[1]) if way is WAYS[0] else np.isinf(found[1])


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.__name__)
def test_brain_float(http: Any, grpc: Any, way: Way) -> None:
    import ml_dtypes

    values = np.array([1, 2.5, 256], ml_dtypes.bfloat16)
    found = way(http, grpc, "brain", {"x": values})["output"]
    assert found.astype("float32").tolist() == [2, 3.5, 256]


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.__name__)
def test_bytes_need_be_no_text(http: Any, grpc: Any, way: Way) -> None:
    raw = bytes(range(256))
    assert way(http, grpc, "reverse", {"raw": text(raw)})["output"].tolist() == [raw[::-1]]
    assert way(http, grpc, "size", {"file": text(raw), "factor": np.array([2])})["output"].tolist() == [512]


@pytest.mark.parametrize("way", WAYS[1:], ids=lambda way: way.__name__)
def test_images(http: Any, grpc: Any, way: Way) -> None:
    import io

    from PIL import Image

    image = Image.new("RGB", (3, 2), "red")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    found = way(http, grpc, "turned", {"image": text(buffer.getvalue())})["output"][0]
    assert Image.open(io.BytesIO(found)).tobytes() == image.rotate(90).tobytes()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_missing_value_is_an_empty_tensor(http: Any, grpc: Any, way: Way) -> None:
    assert way(http, grpc, "maybe", {})["output"].shape == (0,)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_stream_is_one_element_for_each_part(http: Any, grpc: Any, way: Way) -> None:
    words = way(http, grpc, "words", {"text": text("w"), "n": np.array([2])})["output"]
    assert [one if isinstance(one, str) else one.decode() for one in words] == ["w 0\n", "w 1\n"]
    assert way(http, grpc, "numbers", {})["output"].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_stream_of_objects_has_their_tensors(http: Any, grpc: Any, way: Way) -> None:
    found = way(http, grpc, "repeated", {})
    assert {name: _value(values) for name, values in found.items()} == {"index": [0, 1], "text": ["0", "1"]}
    found = way(http, grpc, "delays", {"n": np.array([1])})
    assert {name: _value(values) for name, values in found.items()} == {
        "probability": [0.0],
        "reasons": ["x"],
        "detail": {},
    }
    assert way(http, grpc, "delays", {"n": np.array([0])})["probability"].shape == (0,)


def test_the_service_sees_the_clients_headers(http: Any, grpc: Any) -> None:
    for client in (http, grpc):
        assert client.infer("agent", [], headers={"x-agent": "me"}).as_numpy("agent").tolist() == [b"me"]
