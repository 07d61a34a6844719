"""The inference protocol over gRPC: what the service is, streams, and refusals."""

from __future__ import annotations

import queue
import socket
import threading
import urllib.error
from collections.abc import Iterator
from typing import Any

import grpc as grpcio
import numpy as np
import pytest
import tritonclient.grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.serving.inference.asking import tensors, text
from tests.serving.inference.conftest import BODY_MIB, Served

pytestmark = pytest.mark.integration
INVALID = grpcio.StatusCode.INVALID_ARGUMENT
_INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def channel(served: Served) -> Iterator[Any]:
    with grpcio.insecure_channel(served.channel) as found:
        yield found


def raw(channel: Any, message: bytes, method: str = _INFER) -> grpcio.StatusCode:
    """The status that bytes are answered with."""
    try:
        channel.unary_unary(method)(message, timeout=30)
    except grpcio.RpcError as error:
        return error.code()
    return grpcio.StatusCode.OK


def test_server_and_models_as_over_http(grpc: Any, http: Any) -> None:
    assert grpc.is_server_live() and grpc.is_server_ready()
    assert [one.name for one in grpc.get_model_repository_index().models] == [
        one["name"] for one in http.get_model_repository_index()
    ]
    assert grpc.get_server_metadata(as_json=True) == http.get_server_metadata()
    for one in http.get_model_repository_index():
        assert grpc.is_model_ready(one["name"])
        ours, theirs = grpc.get_model_metadata(one["name"]), http.get_model_metadata(one["name"])
        for side, wanted in ((ours.inputs, theirs["inputs"]), (ours.outputs, theirs["outputs"])):
            assert [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in side] == wanted
    config = grpc.get_model_config("words").config
    assert config.model_transaction_policy.decoupled and config.input[0].data_type == 13


def test_health_and_reflection(channel: Any) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check
    for name in ("", "inference.GRPCInferenceService", "scale"):
        assert check(health_pb2.HealthCheckRequest(service=name)).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpcio.RpcError) as refused:
        check(health_pb2.HealthCheckRequest(service="nope"))
    assert refused.value.code() is grpcio.StatusCode.NOT_FOUND
    reflected = ProtoReflectionDescriptorDatabase(channel)
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(reflected.get_services())
    file = reflected.FindFileContainingSymbol("inference.GRPCInferenceService")
    assert "ModelInferRequest" in [message.name for message in file.message_type]
    assert reflected.FindFileContainingSymbol("grpc.health.v1.Health").package == "grpc.health.v1"


def test_no_other_service_gets_the_port(served: Served) -> None:
    """Nor one that shares its own port among several workers: each would get some of the other's calls."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", served.port))


def test_typed_contents(channel: Any) -> None:
    """Numbers in the message's own fields instead of raw bytes."""
    contents = service_pb2.InferTensorContents
    for datatype, field, values in (
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-1, 2]),
        ("INT32", "int_contents", [-(2**31), 2]),
        ("INT64", "int64_contents", [-(2**63), 2]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [0.5, 1.5]),
        ("FP64", "fp64_contents", [0.1, 1e300]),
        ("BYTES", "bytes_contents", [b"a", b""]),
    ):
        request = service_pb2.ModelInferRequest(model_name="whole", id="7")
        request.inputs.add(name="x", datatype=datatype, shape=[2], contents=contents(**{field: values}))
        answer = service_pb2.ModelInferResponse.FromString(channel.unary_unary(_INFER)(request.SerializeToString()))
        assert (answer.id, answer.outputs[0].datatype) == ("7", datatype)
        found = tritonclient.grpc.InferResult(answer).as_numpy("output").tolist()
        assert [one.encode() if isinstance(one, str) else one for one in found] == values


def _asked(model: str = "scale", raws: list[bytes] | None = None, contents: Any = None, **tensor: Any) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=raws or [])
    one = request.inputs.add(**{"name": "x", "datatype": "FP32", "shape": [1, 3], **tensor})
    if contents is not None:
        one.contents.CopyFrom(service_pb2.InferTensorContents(**contents))
    return request.SerializeToString()


_TWELVE = [b"\0" * 12]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (_asked(raws=_TWELVE), grpcio.StatusCode.OK),
        (_asked("nope", _TWELVE), grpcio.StatusCode.NOT_FOUND),
        (_asked(raws=[b"\0" * 11]), INVALID),
        (_asked(raws=_TWELVE * 2), INVALID),
        (_asked(raws=_TWELVE, contents={"fp32_contents": [1, 2, 3]}), INVALID),
        (_asked(raws=_TWELVE, shape=[3]), INVALID),
        (_asked(raws=_TWELVE, shape=[-1, 3]), INVALID),
        (_asked(raws=[b"\0" * 24], datatype="FP64"), INVALID),
        (_asked(raws=_TWELVE, datatype="x"), INVALID),
        (_asked(raws=_TWELVE, datatype=""), INVALID),
        (_asked(raws=_TWELVE, name="y"), INVALID),
        (_asked(contents={"fp32_contents": [1, 2]}), INVALID),
        (_asked(contents={"fp64_contents": [1, 2, 3]}), INVALID),
        (_asked(contents={"int_contents": [300]}, model="whole", datatype="INT8", shape=[1]), INVALID),
        (_asked(datatype="FP16", contents={"fp32_contents": [1, 2, 3]}), INVALID),
        (_asked(), INVALID),
        (
            _asked("slow", [np.array([60.0]).tobytes()], name="seconds", datatype="FP64", shape=[1]),
            grpcio.StatusCode.DEADLINE_EXCEEDED,
        ),
        (_asked("broken"), INVALID),
        (b"", grpcio.StatusCode.NOT_FOUND),
        (b"\xff\xff\xff", INVALID),
        (b"\x0a\x05ab", INVALID),
        (_asked(raws=_TWELVE)[:-5], INVALID),
    ],
)
def test_statuses(channel: Any, message: bytes, status: grpcio.StatusCode) -> None:
    assert raw(channel, message) is status


def test_failures_of_the_service(grpc: Any) -> None:
    for how, status, why in (
        ("value", "INTERNAL", "check the server log"),
        ("argument", "INVALID_ARGUMENT", "no such"),
    ):
        with pytest.raises(InferenceServerException, match=why) as error:
            grpc.infer("fail", tensors(tritonclient.grpc, {"how": text(how)}))
        assert error.value.status() == f"StatusCode.{status}"


def test_a_message_over_the_limit(channel: Any) -> None:
    size = BODY_MIB * 2**20
    assert raw(channel, _asked("whole", [b"\0" * size], shape=[size // 4])) is grpcio.StatusCode.RESOURCE_EXHAUSTED


def test_the_clients_deadline(grpc: Any) -> None:
    inputs = tensors(tritonclient.grpc, {"seconds": np.array([60.0])})
    with pytest.raises(InferenceServerException) as error:
        grpc.infer("slow", inputs, client_timeout=0.2)
    assert error.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_compressed(grpc: Any) -> None:
    values = np.zeros((1000, 3), "float32")
    found = grpc.infer("scale", tensors(tritonclient.grpc, {"x": values}), compression_algorithm="gzip")
    assert found.as_numpy("output").tolist() == values.tolist()


def test_overload(channel: Any) -> None:
    """More calls than may wait: some are refused with the time to wait, none is lost."""
    message = _asked("slow", [np.array([2.0]).tobytes()], name="seconds", datatype="FP64", shape=[1])
    calls = [channel.unary_unary(_INFER).future(message, timeout=30) for _ in range(12)]
    codes = [call.code() for call in calls]
    assert set(codes) == {grpcio.StatusCode.OK, grpcio.StatusCode.RESOURCE_EXHAUSTED}
    for call in calls:
        told = {name for name, _ in call.trailing_metadata() or ()}
        assert ("grpc-retry-pushback-ms" in told) == (call.code() is grpcio.StatusCode.RESOURCE_EXHAUSTED)


class Stream:
    """Answers of a stream as they come."""

    def __init__(self, client: Any) -> None:
        self.answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client = client
        client.start_stream(lambda result, error: self.answers.put((result, error)))

    def ask(self, model: str, arrays: Any, **options: Any) -> None:
        self._client.async_stream_infer(model, tensors(tritonclient.grpc, arrays), **options)

    def next(self) -> Any:
        result, error = self.answers.get(timeout=30)
        assert error is None, error
        return result


@pytest.fixture
def stream(served: Served) -> Iterator[Stream]:
    with tritonclient.grpc.InferenceServerClient(served.channel) as client:
        yield Stream(client)
        client.stop_stream()


def _is_final(answer: Any) -> bool:
    found: bool = answer.get_response().parameters["triton_final_response"].bool_param
    return found


def test_a_stream_of_parts(stream: Stream) -> None:
    stream.ask("words", {"text": text("w"), "n": np.array([2])}, request_id="q", enable_empty_final_response=True)
    parts = [stream.next() for _ in range(3)]
    assert [one.as_numpy("output").tolist() for one in parts[:2]] == [[b"w 0\n"], [b"w 1\n"]]
    assert [_is_final(one) for one in parts] == [False, False, True]
    assert {one.get_response().id for one in parts} == {"q"}
    assert not parts[2].get_response().outputs


def test_a_stream_of_objects(stream: Stream) -> None:
    wanted = [tritonclient.grpc.InferRequestedOutput("text")]
    stream.ask("repeated", {}, outputs=wanted)
    found = [stream.next() for _ in range(2)]
    assert [one.as_numpy("text").tolist() for one in found] == [[b"0"], [b"1"]]
    assert [[one.name for one in answer.get_response().outputs] for answer in found] == [["text"], ["text"]]


def test_a_stream_of_arrays(stream: Stream) -> None:
    values = np.arange(6, dtype="float16").reshape(2, 3)
    stream.ask("rows", {"x": values})
    for row in values:
        found = stream.next().as_numpy("output")
        assert found.dtype == np.float16 and found.tolist() == row.tolist()


def test_an_error_within_a_stream_is_told(stream: Stream, grpc: Any) -> None:
    """It must not look like the end."""
    stream.ask("torn", {})
    assert stream.next().as_numpy("output").tolist() == [b"first"]
    result, error = stream.answers.get(timeout=30)
    assert result is None and "torn" in error.message()
    with pytest.raises(InferenceServerException, match="torn"):
        grpc.infer("torn", [])


def test_statistics(served: Served, grpc: Any, http: Any) -> None:
    """Those of all ways to ask, the plain one among them."""

    def counts() -> tuple[int, int]:
        one = http.get_inference_statistics("fail")["model_stats"][0]
        same = grpc.get_inference_statistics("fail").model_stats[0]
        stats = one["inference_stats"]
        assert same.inference_stats.fail.count == stats["fail"]["count"] and stats["success"]["count"] == 0
        return stats["fail"]["count"], stats["fail"]["ns"]

    before = counts()
    for client, library in ((http, tritonclient.http), (grpc, tritonclient.grpc)):
        with pytest.raises(InferenceServerException):
            client.infer("fail", tensors(library, {"how": text("argument")}))
    with pytest.raises(urllib.error.HTTPError):
        served.plain("/fail", {"how": "argument"})
    after = counts()
    assert after[0] == before[0] + 3 and after[1] > before[1]
    assert len(grpc.get_inference_statistics().model_stats) == len(http.get_model_repository_index())


def test_a_stream_of_requests(stream: Stream) -> None:
    for n in range(5):
        stream.ask("add", {"a": np.array([n])}, request_id=str(n))
    for n in range(5):
        answer = stream.next()
        assert (answer.get_response().id, answer.as_numpy("output").tolist()) == (str(n), [n + 0.5])
        assert _is_final(answer)


def test_an_error_does_not_end_a_stream(stream: Stream) -> None:
    for model, arrays in (("broken", {}), ("nope", {}), ("add", {}), ("fail", {"how": text("argument")})):
        stream.ask(model, arrays, request_id="bad")
        result, error = stream.answers.get(timeout=30)
        assert result is None and error is not None
    stream.ask("add", {"a": np.array([1])})
    assert stream.next().as_numpy("output").tolist() == [1.5]


def test_a_client_that_goes_ends_its_work(served: Served, http: Any) -> None:
    """The stream's generator is closed and does not count until its end."""
    with tritonclient.grpc.InferenceServerClient(served.channel) as client:
        stream = Stream(client)
        stream.ask("endless", {})
        stream.next()
        client.stop_stream(cancel_requests=True)
    ended = threading.Event()
    for _ in range(1200):
        answer = http.infer("endless_ended", [])
        if answer.as_numpy("output").tolist() == [True]:
            ended.set()
            break
        ended.wait(0.05)
    assert ended.is_set()
