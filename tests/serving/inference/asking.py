"""The same question in each of the protocol's three forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import np_to_triton_dtype

Arrays = Mapping[str, np.ndarray[Any, Any]]
Way = Callable[[Any, Any, str, Arrays], dict[str, np.ndarray[Any, Any]]]


def tensors(library: Any, arrays: Arrays, **options: Any) -> list[Any]:
    """A client library's inputs."""
    found = []
    for name, values in arrays.items():
        one = library.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        one.set_data_from_numpy(values, **options)
        found.append(one)
    return found


def text(*values: str | bytes) -> np.ndarray[Any, Any]:
    """A BYTES tensor."""
    return np.array([value.encode() if isinstance(value, str) else value for value in values], object)


def document(value: Any) -> np.ndarray[Any, Any]:
    """A BYTES tensor that holds JSON."""
    return text(json.dumps(value))


def _answered(answer: Any, names: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: answer.as_numpy(name) for name in names}


def by_json(http: Any, grpc: Any, model: str, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]]:
    """Everything in JSON."""
    # Without a word on outputs the client asks for raw ones, so that the answer is asked for in two steps.
    inputs = tensors(tritonclient.http, arrays, binary_data=False)
    names = [one["name"] for one in http.infer(model, inputs).get_response()["outputs"]]
    wanted = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in names]
    return _answered(http.infer(model, inputs, outputs=wanted), names)


def by_binary(http: Any, grpc: Any, model: str, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]]:
    """Raw tensors after the JSON."""
    answer = http.infer(model, tensors(tritonclient.http, arrays, binary_data=True))
    return _answered(answer, [one["name"] for one in answer.get_response()["outputs"]])


def by_grpc(http: Any, grpc: Any, model: str, arrays: Arrays) -> dict[str, np.ndarray[Any, Any]]:
    """Raw tensors in protobuf."""
    answer = grpc.infer(model, tensors(tritonclient.grpc, arrays))
    return _answered(answer, [one.name for one in answer.get_response().outputs])


WAYS: list[Way] = [by_json, by_binary, by_grpc]
