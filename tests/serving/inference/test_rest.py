"""The inference protocol over HTTP: what the service is, forms of requests and answers, and refusals."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib
from typing import Any

import numpy as np
import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.serving.inference.asking import tensors
from tests.serving.inference.conftest import BODY_MIB, Served

pytestmark = pytest.mark.integration
X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
_BINARY = "Inference-Header-Content-Length"


def ask(
    served: Served, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[int, Any, bytes]:
    """One request: status, headers, body."""
    connection = http.client.HTTPConnection(served.address, timeout=30)
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        connection.request(method or ("GET" if body is None else "POST"), f"/v2{path}", raw, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def refused(served: Served, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and error of a request that is refused."""
    status, _, answer = ask(served, path, body, headers)
    found = json.loads(answer)
    assert list(found) == ["error"]
    return status, found["error"]


def test_server(http: Any) -> None:
    assert http.is_server_live() and http.is_server_ready()
    found = http.get_server_metadata()
    assert found["name"] == "Everything" and "binary_tensor_data" in found["extensions"]


def test_models(served: Served, http: Any) -> None:
    index = http.get_model_repository_index()
    names = [one["name"] for one in index]
    assert {"scale", "words", "later"} <= set(names)
    assert {one["state"] for one in index} == {"READY"}
    for one in index:
        assert http.is_model_ready(one["name"], one["version"])
        assert http.get_model_metadata(one["name"], one["version"]) == http.get_model_metadata(one["name"])
    # The plain description lists the same APIs.
    routes = json.loads(_get(served, "/schema.json"))["routes"]
    assert sorted(names) == sorted(route["name"] for route in routes)


def _get(served: Served, path: str) -> bytes:
    connection = http.client.HTTPConnection(served.address, timeout=30)
    connection.request("GET", path)
    found = connection.getresponse().read()
    connection.close()
    return found


@pytest.mark.parametrize(
    ("model", "inputs", "outputs"),
    [
        ("scale", [("x", "FP32", [-1, 3]), ("by", "FP64", [1])], [("output", "FP64", [-1])]),
        ("brain", [("x", "BF16", [-1])], [("output", "FP64", [-1])]),
        ("add", [("a", "INT64", [1]), ("b", "FP64", [1]), ("on", "BOOL", [1])], [("output", "FP64", [1])]),
        ("upper", [("text", "BYTES", [1])], [("output", "BYTES", [1])]),
        ("maybe", [("value", "INT64", [-1])], [("output", "INT64", [-1])]),
        ("lengths", [("texts", "BYTES", [-1])], [("output", "INT64", [-1])]),
        ("matrix", [("rows", "FP64", [-1, -1])], [("output", "FP64", [-1, -1])]),
        (
            "delay",
            [("flight", "BYTES", [1])],
            [("probability", "FP64", [1]), ("reasons", "BYTES", [-1]), ("detail", "BYTES", [1])],
        ),
        ("flown", [("distance", "FP64", [1]), ("carrier", "BYTES", [1]), ("hours", "INT64", [-1])], None),
        ("total", [("rows", "BYTES", [1])], None),
        ("size", [("file", "BYTES", [1]), ("factor", "INT64", [1])], [("output", "INT64", [1])]),
        ("agent", [], None),
        ("words", [("text", "BYTES", [1]), ("n", "INT64", [1])], [("output", "BYTES", [-1])]),
    ],
)
def test_metadata(http: Any, model: str, inputs: Any, outputs: Any) -> None:
    found = http.get_model_metadata(model)
    assert (found["name"], found["versions"], found["platform"]) == (model, ["1"], "bentoml")
    assert [tuple(one.values()) for one in found["inputs"]] == inputs
    if outputs is not None:
        assert [tuple(one.values()) for one in found["outputs"]] == outputs


def test_configuration(http: Any) -> None:
    found = http.get_model_config("words")
    assert found["model_transaction_policy"] == {"decoupled": True}
    assert found["max_batch_size"] == 0
    assert found["input"][1] == {"name": "n", "data_type": "TYPE_INT64", "dims": [1], "optional": True}


def test_id_and_version_come_back(http: Any) -> None:
    inputs = tensors(tritonclient.http, {"x": np.ones((1, 3), "float32")})
    found = http.infer("scale", inputs, request_id="é 7", model_version="1").get_response()
    assert (found["model_name"], found["model_version"], found["id"]) == ("scale", "1", "é 7")


def test_data_may_be_nested_or_flat(served: Served) -> None:
    for data in ([1, 2, 3], [[1, 2, 3]]):
        _, _, answer = ask(served, "/models/scale/infer", {"inputs": [{**X, "data": data}]})
        assert json.loads(answer)["outputs"] == [
            {"name": "output", "datatype": "FP32", "shape": [1, 3], "data": [2, 4, 6]}
        ]


def test_outputs_are_chosen_in_their_order(http: Any) -> None:
    inputs = tensors(tritonclient.http, {"n": np.array([3])})
    wanted = [
        tritonclient.http.InferRequestedOutput("name", binary_data=False),
        tritonclient.http.InferRequestedOutput("square", binary_data=True),
        tritonclient.http.InferRequestedOutput("output", binary_data=True),
    ]
    answer = http.infer("several", inputs, outputs=wanted)
    assert [one["name"] for one in answer.get_response()["outputs"]] == ["name", "square", "output"]
    assert answer.as_numpy("square").tolist() == [9]
    assert json.loads(answer.as_numpy("output")[0])["odd"] == {"n": 3}
    with pytest.raises(InferenceServerException, match="unexpected inference output 'cube'"):
        http.infer("several", inputs, outputs=[tritonclient.http.InferRequestedOutput("cube")])


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_both_ways(http: Any, algorithm: str) -> None:
    values = np.zeros((1000, 3), "float32")
    answer = http.infer(
        "scale",
        tensors(tritonclient.http, {"x": values}),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    assert answer.as_numpy("output").tolist() == values.tolist()


def test_only_the_answer_compressed(served: Served) -> None:
    body = {"inputs": [{**X, "shape": [300, 3], "data": [1] * 900}]}
    for accepted, encoding in (("deflate", "deflate"), ("br, gzip;q=0.5", "gzip"), ("gzip;q=0", None), ("", None)):
        _, headers, answer = ask(served, "/models/scale/infer", body, {"accept-encoding": accepted})
        assert headers["content-encoding"] == encoding
        opened = zlib.decompress(answer, 47) if encoding else answer
        assert json.loads(opened)["outputs"][0]["data"] == [2] * 900


def test_bytes_that_are_no_text_are_in_base_64(served: Served) -> None:
    one = {"name": "raw", "shape": [1], "datatype": "BYTES", "data": ["AP8="], "parameters": {"content_type": "base64"}}
    _, _, answer = ask(served, "/models/reverse/infer", {"inputs": [one]})
    found = json.loads(answer)["outputs"][0]
    assert (found["data"], found["parameters"]) == (["/wA="], {"content_type": "base64"})


def test_generate(served: Served) -> None:
    def made(model: str, body: Any) -> Any:
        status, _, answer = ask(served, f"/models/{model}/generate", body)
        assert status == 200, answer
        return json.loads(answer)

    named = {"model_name": "words", "model_version": "1"}
    body = {"id": "q", "text_input": "w", "parameters": {"n": 2, "temperature": 0.5}}
    assert made("words", body) == {"id": "q", **named, "text_output": "w 0\nw 1\n"}
    assert made("upper", {"text_input": "abc"})["text_output"] == "ABC"
    assert made("whole", {"x": [[1, 2]]})["output"] == [[1, 2]]
    assert made("delay", {"flight": {"distance": 2, "carrier": "x"}})["probability"] == 0.5
    assert made("total", {"rows": [{"a": 1, "b": 2}]})["total"] == 3


def test_generate_stream(served: Served) -> None:
    status, headers, answer = ask(served, "/models/words/generate_stream", {"text_input": "w", "n": 2})
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    events = [json.loads(part.removeprefix(b"data: ")) for part in answer.split(b"\n\n") if part]
    assert [one["text_output"] for one in events] == ["w 0\n", "w 1\n"]
    status, _, answer = ask(served, "/models/torn/generate_stream", {})
    assert [json.loads(part[6:]).get("error") for part in answer.split(b"\n\n") if part] == [None, "torn"]
    assert refused(served, "/models/broken/generate_stream", {})[0] == 500
    assert refused(served, "/models/words/generate_stream", {"text_input": "w", "no": 1})[0] == 400


def _inputs(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{key: value for key, value in {**X, **changes}.items() if value is not None}]}


@pytest.mark.parametrize(
    ("status", "model", "body", "why"),
    [
        (404, "nope", {"inputs": []}, "unknown model: 'nope'"),
        (404, "scale/versions/7", {"inputs": []}, "version 7"),
        (400, "scale", b"{", "failed to parse"),
        (400, "scale", b"", "failed to parse"),
        (400, "scale", b"\xff", "failed to parse"),
        (400, "scale", b"[" * 5000, "failed to parse"),
        (400, "scale", [], "must be a JSON object"),
        (400, "scale", {}, "'inputs' must be a list"),
        (400, "scale", {"inputs": {}}, "'inputs' must be a list"),
        (400, "scale", {"inputs": [1]}, "an object with a 'name'"),
        (400, "scale", {"inputs": []}, "Missing: x"),
        (400, "scale", _inputs(name="y"), "unexpected inference input 'y'"),
        (400, "scale", {"inputs": [X, X]}, "more than once"),
        (400, "scale", _inputs(datatype="FP64"), "'FP64', but model 'scale' expects 'FP32'"),
        (400, "scale", _inputs(datatype="FLOAT"), "unknown datatype"),
        (400, "scale", _inputs(datatype=["FP32"]), "unknown datatype"),
        (400, "scale", _inputs(datatype=None), "has no 'datatype'"),
        (400, "scale", _inputs(shape=None), "has no 'shape'"),
        (400, "scale", _inputs(data=None), "has no 'data'"),
        (400, "scale", _inputs(shape=[3]), "unexpected shape"),
        (400, "scale", _inputs(shape=[1, 4]), "needs 4"),
        (400, "scale", _inputs(shape=[-1, 3]), "whole numbers from 0"),
        (400, "scale", _inputs(shape="13"), "must be a list"),
        (400, "scale", _inputs(shape=[True, 3]), "whole numbers from 0"),
        (400, "scale", _inputs(data=["1", "2", "3"]), "not of datatype FP32"),
        (400, "scale", _inputs(parameters=[1]), "'parameters' must be an object"),
        (400, "scale", _inputs(parameters={"shared_memory_region": "r"}), "not supported"),
        (400, "scale", {"inputs": [X], "outputs": [{"name": "no"}]}, "unexpected inference output 'no'"),
        (400, "scale", {"inputs": [X], "outputs": 3}, "'outputs' must be a list"),
        (400, "scale", {"inputs": [X], "id": 3}, "'id' must be a string"),
        (400, "add", _inputs(name="a", datatype="INT64", shape=[2], data=[1, 2]), "must hold one element"),
        (400, "add", _inputs(name="a", shape=[1], data=[1]), "'FP32', but 'INT64' is expected"),
        (400, "upper", _inputs(name="text", shape=[1], data=[1]), "'BYTES' is expected"),
        (400, "delay", _inputs(name="flight", datatype="BYTES", shape=[1], data=["{"]), "no valid JSON"),
        (
            400,
            "delay",
            _inputs(name="flight", datatype="BYTES", shape=[1], data=["{}"]),
            "flight.distance: Field required",
        ),
        (400, "fail", _inputs(name="how", datatype="BYTES", shape=[1], data=["argument"]), "no such thing"),
        (500, "fail", _inputs(name="how", datatype="BYTES", shape=[1], data=["value"]), "check the server log"),
        (500, "odd", _inputs(name="kind", datatype="BYTES", shape=[1], data=["complex"]), "complex128"),
        (500, "broken", {"inputs": []}, "check the server log"),
        (504, "slow", _inputs(name="seconds", shape=[1], data=[60]), ""),
    ],
)
def test_refusals(served: Served, status: int, model: str, body: Any, why: str) -> None:
    found = refused(served, f"/models/{model}/infer", body)
    assert found[0] == status and why in found[1], found


@pytest.mark.parametrize(
    ("header", "raw", "size", "why"),
    [
        ("0", b"\0" * 12, 12, "failed to parse"),
        ("100000", b"", 12, "the body has"),
        ("-1", b"\0" * 12, 12, "whole number"),
        ("x", b"\0" * 12, 12, "whole number"),
        ("²", b"\0" * 12, 12, "whole number"),
        (None, b"\0" * 12, 12, "failed to parse"),
        ("", b"\0" * 11, 12, "only 11 are left"),
        ("", b"\0" * 13, 12, "additional input data: 1"),
        ("", b"\0" * 11, 11, "unexpected total byte size 11"),
        ("", b"\0" * 12, -1, "whole number"),
        ("", b"\0" * 12, True, "whole number"),
        ("", b"\0" * 12, "12", "whole number"),
    ],
)
def test_broken_binary(served: Served, header: str | None, raw: bytes, size: Any, why: str) -> None:
    head = json.dumps(_inputs(data=None, parameters={"binary_data_size": size})).encode()
    headers = {} if header is None else {_BINARY: header.encode().decode("latin-1") or str(len(head))}
    found = refused(served, "/models/scale/infer", head + raw, headers)
    assert found[0] == 400 and why in found[1], found


def test_broken_bytes_elements(served: Served) -> None:
    for raw in (b"\1\0\0", b"\5\0\0\0ab", b"\0\0\0\0" * 2, b"\xff\xff\xff\xff"):
        one = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
        head = json.dumps({"inputs": [one]}).encode()
        assert refused(served, "/models/upper/infer", head + raw, {_BINARY: str(len(head))})[0] == 400


def test_broken_compression(served: Served) -> None:
    body = json.dumps({"inputs": [X]}).encode()
    for encoding, packed, status in (
        ("gzip", b"no", 400),
        ("gzip", gzip.compress(body)[:-12], 400),
        ("deflate", gzip.compress(body), 400),
        ("br", body, 415),
        ("gzip", gzip.compress(b" " * (BODY_MIB * 2**20 + 1)), 413),
        ("deflate", zlib.compress(b" " * (BODY_MIB * 2**20 + 1)), 413),
    ):
        assert refused(served, "/models/scale/infer", packed, {"content-encoding": encoding})[0] == status, encoding
    assert refused(served, "/models/scale/infer", b" " * (BODY_MIB * 2**20 + 1))[0] == 413


def test_other_paths_and_methods(served: Served) -> None:
    for path in ("/no", "/models", "/models/scale/no", "/models/scale/versions", "/health", "/health/no"):
        assert refused(served, path)[0] == 404, path
    assert refused(served, "/models/scale/infer")[0] == 405
    assert refused(served, "/models/scale", {})[0] == 405
    assert refused(served, "/repository/models/scale/load", {})[0] == 400
    # Not the protocol's, but the service's own.
    assert _get(served, "/v22") == b"Not Found"


def test_overload(served: Served) -> None:
    """More calls than may wait: some are refused with the time to wait, none is lost."""
    import threading

    body = {"inputs": [{"name": "seconds", "datatype": "FP64", "shape": [1], "data": [2]}]}
    found: list[tuple[int, str | None]] = []

    def one() -> None:
        status, headers, _ = ask(served, "/models/slow/infer", body)
        found.append((status, headers["retry-after"]))

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in found} == {200, 429}
    assert all((after is not None) == (status == 429) for status, after in found)


def test_requests_are_counted(served: Served) -> None:
    ask(served, "/models/scale/infer", {"inputs": [X]})
    lines = [line for line in _get(served, "/metrics").decode().splitlines() if "request_total{" in line]
    assert any('endpoint="/scale"' in line and 'http_response_code="200"' in line for line in lines)
