"""A service with one API, in two processes; readiness, the end of a process, and services with routes of their own."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc as grpcio
import numpy as np
import psutil
import pytest
import tritonclient.grpc
import tritonclient.http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from boxplat.serving.inference.protocol import InferenceProtocol
from boxplat.serving.log import reading
from tests.serving.conftest import held_port, worker
from tests.serving.inference.asking import tensors
from tests.serving.inference.conftest import Served
from tests.serving.log.logs import compacted

# Makes an answer large enough to be compressed.
_LONG_ID = "long" * 300


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Served, psutil.Process]]:
    folder = Path(__file__).with_name("alone")
    flags = ["--workers", "2", "--log", str(tmp_path / "predictions"), "--grpc-port"]
    gate = str(tmp_path / "gate")
    with (
        held_port() as port,
        worker(folder, "service:Alone", tmp_path / "alone", *flags, str(port), GATE=gate) as (url, process),
    ):
        yield Served(url, port), process


def _ask(served: Served, x: float, held: bool = False) -> dict[str, Any]:
    """On a connection of its own; one that is held is answered when there is a gate."""
    inputs = {"x": np.array([x]), "held": np.array([held])}
    with tritonclient.grpc.InferenceServerClient(
        served.channel, channel_args=[("grpc.use_local_subchannel_pool", 1)]
    ) as client:
        answer = client.infer("scorer", tensors(tritonclient.grpc, inputs), client_timeout=120)
        return {name: answer.as_numpy(name)[0] for name in ("sum", "process")}


@pytest.mark.integration
def test_one_api_in_two_processes(alone: tuple[Served, psutil.Process], tmp_path: Path) -> None:
    served, process = alone
    with tritonclient.http.InferenceServerClient(served.address) as http:
        # The service's name is another name of its only API.
        for name in ("scorer", "predict"):
            assert http.get_model_metadata(name)["name"] == name
            answer = http.infer(name, tensors(tritonclient.http, {"x": np.array([1.5, 2])}))
            assert answer.get_response()["model_name"] == name
            assert answer.as_numpy("sum").tolist() == [3.5]
        assert [one["name"] for one in http.get_model_repository_index()] == ["predict"]
    _ask_by_name(served)

    # The kernel gives each process a share of the connections to the one gRPC port.
    seen = {_ask(served, n)["process"] for n in range(24)}
    assert len(seen) == 2

    _readiness(served)

    # What is under way when the service is told to end is answered.
    found: list[dict[str, Any]] = []
    calls = [threading.Thread(target=lambda: found.append(_ask(served, 1, held=True))) for _ in range(4)]
    for call in calls:
        call.start()
    while _under_way(served) < len(calls):
        time.sleep(0.05)
    process.terminate()
    time.sleep(1)
    assert not found
    (tmp_path / "gate").touch()
    for call in calls:
        call.join()
    assert [one["sum"] for one in found] == [1.0] * len(calls)
    process.wait(60)
    with pytest.raises(tritonclient.grpc.InferenceServerException, match="UNAVAILABLE"):
        _ask(served, 1)

    _logged(tmp_path / "predictions")


def _ask_by_name(served: Served) -> None:
    """In four forms, one also compressed, each with a name for the log."""
    name = {"x-request-id": "mine"}
    arrays = {"x": np.array([1.5, 2])}
    with tritonclient.grpc.InferenceServerClient(served.channel) as client:
        client.infer("scorer", tensors(tritonclient.grpc, arrays), headers=dict(name))
    with tritonclient.http.InferenceServerClient(served.address) as http:
        http.infer("scorer", tensors(tritonclient.http, arrays), headers=dict(name))
        texts = tensors(tritonclient.http, arrays, binary_data=False)
        http.infer("scorer", texts, headers=dict(name))
        packed = {"request_id": _LONG_ID, "response_compression_algorithm": "gzip"}
        output = tritonclient.http.InferRequestedOutput("sum", binary_data=False)
        answered = http.infer("scorer", texts, outputs=[output], headers=dict(name), **packed)
        assert answered.get_response()["id"] == _LONG_ID
    body = json.dumps({"x": [1.5, 2]}).encode()
    request = urllib.request.Request(f"{served.url}/v2/models/scorer/generate", body, name)
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["sum"] == 3.5


def _logged(folder: Path) -> None:
    """Every form of a request is in the log."""
    compacted(folder)
    columns = "api, status, input, output, input_bytes, output_bytes"
    found = reading.query(folder, f"select {columns} from requests where id = 'mine'").to_pylist()
    assert [(row["api"], row["status"]) for row in found] == [("predict", 200)] * 5
    assert all(row["input_bytes"] > 10 and row["output_bytes"] > 10 for row in found)
    raw = [base64.b64decode(row["input"].partition("base64,")[2]) for row in found if "base64," in row["input"]]
    assert len(raw) == 2 and all(np.array([1.5, 2]).tobytes() in one for one in raw)
    assert sum('"x"' in row["input"] for row in found) == 3
    assert sum(_LONG_ID in row["output"] for row in found) == 1, "the answer is logged as it was before gzip"


def _tell(served: Served, x: float) -> None:
    """Ask both processes."""
    seen: set[int] = set()
    while len(seen) < 2:
        seen.add(_ask(served, x)["process"])


def _readiness(served: Served) -> None:
    """What the service says of itself is what all forms of the protocol say."""
    _tell(served, -1)
    with (
        tritonclient.grpc.InferenceServerClient(served.channel) as client,
        tritonclient.http.InferenceServerClient(served.address) as http,
        grpcio.insecure_channel(served.channel) as channel,
    ):
        check = health_pb2_grpc.HealthStub(channel).Check
        for one in (client, http):
            assert one.is_server_live()
            assert not one.is_server_ready() and not one.is_model_ready("scorer")
        assert http.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
        assert client.get_model_repository_index().models[0].state == "UNAVAILABLE"
        assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        _tell(served, 1)
        assert client.is_server_ready() and http.is_server_ready()
        assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def _under_way(served: Served) -> float:
    with urllib.request.urlopen(f"{served.url}/api/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = 'bentoml_service_request_in_progress{endpoint="/api/score"'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def _nothing(request: Any) -> Any:
    raise AssertionError("not asked")


async def _opaque(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("not asked")


@pytest.mark.parametrize(
    ("route", "is_ours"),
    [
        (Route("/predict", _nothing), True),
        (Route("/", _nothing), True),
        (Route("/v22", _nothing), True),
        (Mount("/mounted", _opaque), True),
        (Mount("/", Starlette(routes=[Route("/hello", _nothing)])), True),
        (Route("/v2", _nothing), False),
        (Route("/v2/models", _nothing), False),
        (Route("/{path:path}", _nothing), False),
        (Mount("/v2", _opaque), False),
        (Mount("/", _opaque), False),
        (Mount("/", Starlette(routes=[Route("/v2/hello", _nothing)])), False),
    ],
)
def test_a_service_keeps_its_own_routes(route: Any, is_ours: bool) -> None:
    class Direct:
        app = Starlette(routes=[Route("/readyz", _nothing), route])

    protocol = InferenceProtocol(Direct())
    for path in ("/v2", "/v2/", "/v2/models/x/infer"):
        assert protocol.answers({"type": "http", "path": path}) is is_ours
    for path in ("/", "/v1", "/v22", "/predict"):
        assert not protocol.answers({"type": "http", "path": path})
