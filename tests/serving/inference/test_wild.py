"""Whatever a client sends: an answer or a refusal in the protocol's own words, never a failure of the server's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import grpc as grpcio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.serving.inference.conftest import Served

pytestmark = pytest.mark.integration
_QUIET = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
# Not those that wait, fail, stream for ever or do what a number in the request says.
_MODELS = "scale whole doubled add upper maybe lengths matrix reverse flown chosen untyped".split()
_DATATYPES = ["FP32", "FP64", "INT64", "UINT8", "BOOL", "BYTES", "BF16", "FP16"]
_NAMES = ["x", "by", "a", "b", "text", "value", "texts", "rows", "raw", "flight", "distance", "carrier", "on"]
_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just('{"distance": 0}')
_JUNK = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
_DATA = st.lists(st.lists(st.floats() | st.integers(), max_size=3) | _LEAF, max_size=4) | _JUNK


def _mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, usual, _JUNK)


_TENSOR = st.fixed_dictionaries(
    {
        "name": _mostly(st.sampled_from(_NAMES)),
        "datatype": _mostly(st.sampled_from(_DATATYPES)),
        "shape": _mostly(st.lists(st.integers(0, 3), max_size=3)),
    },
    optional={
        "data": _mostly(_DATA),
        "parameters": _mostly(st.fixed_dictionaries({}, optional={"binary_data_size": _mostly(st.integers(0, 20))})),
    },
)
_REQUEST = st.fixed_dictionaries(
    {"inputs": _mostly(st.lists(_TENSOR, max_size=3))},
    optional={
        "id": _mostly(st.text(max_size=5)),
        "outputs": _mostly(st.lists(st.fixed_dictionaries({"name": st.sampled_from(["output", "x"])}), max_size=2)),
        "parameters": _mostly(st.fixed_dictionaries({"binary_data_output": st.booleans()})),
    },
)
_VERBS = st.sampled_from(["infer", "generate"])


@pytest.fixture(scope="module")
def connection(served: Served) -> Iterator[http.client.HTTPConnection]:
    found = http.client.HTTPConnection(served.address, timeout=30)
    yield found
    found.close()


@_QUIET
@given(
    st.sampled_from(_MODELS),
    _mostly(_REQUEST),
    st.none() | st.binary(max_size=24),
    st.sampled_from(["infer", "generate"]),
)
def test_http(connection: http.client.HTTPConnection, model: str, request_: Any, raw: bytes | None, verb: str) -> None:
    head = json.dumps(request_).encode()
    headers = {} if raw is None else {"Inference-Header-Content-Length": str(len(head))}
    connection.request("POST", f"/v2/models/{model}/{verb}", head + (raw or b""), headers)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in (200, 400), (answer.status, body)
    if answer.status == 400:
        assert list(json.loads(body)) == ["error"]
    else:
        json.loads(body[: int(answer.headers.get("Inference-Header-Content-Length", len(body)))])


_CONTENTS = st.builds(
    service_pb2.InferTensorContents,
    bool_contents=st.lists(st.booleans(), max_size=2),
    int_contents=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    fp32_contents=st.lists(st.floats(width=32), max_size=3),
    bytes_contents=st.lists(st.binary(max_size=4), max_size=2),
)
_INPUT = st.builds(
    service_pb2.ModelInferRequest.InferInputTensor,
    name=st.sampled_from(_NAMES),
    datatype=st.sampled_from([*_DATATYPES, ""]),
    shape=st.lists(st.integers(-1, 3), max_size=3),
    contents=st.none() | _CONTENTS,
)
_MESSAGE = st.builds(
    service_pb2.ModelInferRequest,
    model_name=st.sampled_from(_MODELS),
    inputs=st.lists(_INPUT, max_size=3),
    raw_input_contents=st.lists(st.binary(max_size=24), max_size=3),
)


@_QUIET
@given(_MESSAGE.map(lambda one: one.SerializeToString()) | st.binary(max_size=30), st.data())
def test_grpc(served: Served, message: bytes, data: st.DataObject) -> None:
    if message and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(message) - 1))
        message = message[:place] + data.draw(st.binary(max_size=2)) + message[place + 1 :]
    with grpcio.insecure_channel(served.channel) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer").future(message, timeout=30)
        codes = grpcio.StatusCode
        assert call.code() in (codes.OK, codes.INVALID_ARGUMENT, codes.NOT_FOUND), (call.code(), call.details())
