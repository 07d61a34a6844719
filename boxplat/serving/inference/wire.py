"""Requests and answers of `infer` over HTTP: JSON, and raw tensors after it (the binary tensor data extension)."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json

from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.tensors import Tensor, from_data, from_raw, to_data, to_raw


@dataclass(frozen=True)
class Asked:
    """One inference request.

    Attributes:
        outputs: names that are asked for; empty: all.
        binary: by name of an output, whether it is wanted as raw bytes; `""` holds for those that are not named.
    """

    tensors: Sequence[Tensor]
    outputs: Sequence[str] = ()
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    binary: Mapping[str, bool] = field(default_factory=dict)


# Of a larger one that is no text the log keeps a digest.
_MOST_LOGGED = 2**15
_URL = b"data:application/octet-stream;base64,"
_UNSUPPORTED = ("classification", "shared_memory_region")


def read(body: bytes, header: int | None) -> Asked:
    """A request.

    Args:
        header: length of the JSON at the beginning of the body; None: all of it.

    Raises:
        InferenceError: it is not what the protocol says.
    """
    if header is not None and not 0 <= header <= len(body):
        raise InferenceError(f"Inference-Header-Content-Length is {header}, but the body has {len(body)} bytes")
    if header is None:
        said, raw = _said(body), _Raw(memoryview(b""))
    else:
        said = _remembered(body[:header]) if header <= _MOST_REMEMBERED else _said(body[:header])
        raw = _Raw(memoryview(body)[header:])
    tensors = [_tensor(one, raw) for one in said.inputs]
    raw.must_be_used()
    return Asked(tensors, said.outputs, said.id, said.parameters, said.binary)


@dataclass(frozen=True)
class _Input:
    """What the JSON says of one input."""

    name: str
    datatype: Any
    shape: Any
    size: int | None
    data: Any = None
    encoded: bool = False


@dataclass(frozen=True)
class _Said:
    """What the JSON of a request says."""

    inputs: Sequence[_Input]
    outputs: Sequence[str]
    id: str
    parameters: Mapping[str, Any]
    binary: Mapping[str, bool]


def _said(head: bytes) -> _Said:
    message = parsed(head)
    inputs = [_input(one) for one in _listed(message, "inputs")]
    parameters = _parameters(message)
    outputs = _listed(message, "outputs")
    plain = bool(parameters.get("binary_data_output", False))
    binary = {_name(one): bool(_parameters(one).get("binary_data", plain)) for one in outputs}
    identity = message.get("id", "")
    if not isinstance(identity, str):
        raise InferenceError("'id' must be a string")
    for one in outputs:
        must_be_supported(_parameters(one))
    return _Said(inputs, list(binary), identity, parameters, {**binary, "": plain})


# A client whose tensors follow as raw bytes says the same about them in each request.
_MOST_REMEMBERED = 1024
_remembered = lru_cache(maxsize=512)(_said)


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InferenceError: it is none.
    """
    try:
        found = from_json(body)
    except ValueError as error:
        raise InferenceError(f"failed to parse the request JSON: {error}") from None
    if not isinstance(found, dict):
        raise InferenceError("the request must be a JSON object")
    return found


def write(model: str, version: str, asked: Asked, tensors: Sequence[Tensor]) -> tuple[bytes, int | None]:
    """An answer's body, and the length of the JSON at its beginning where raw bytes follow it."""
    described, raws = [], []
    for tensor in tensors:
        one: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if asked.binary.get(tensor.name, asked.binary.get("", False)):
            raws.append(to_raw(tensor))
            one["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            one["data"], encoded = to_data(tensor)
            if encoded:
                one["parameters"] = {"content_type": "base64"}
        described.append(one)
    message: dict[str, Any] = {"model_name": model, "model_version": version}
    if asked.id:
        message["id"] = asked.id
    head = to_json(message | {"outputs": described}, inf_nan_mode="constants")
    return (b"".join([head, *raws]), len(head)) if raws else (head, None)


def logged(body: bytes, is_raw: bool) -> bytes:
    """A body for the prediction log, which keeps texts: one that holds raw bytes as a `data:` URL (RFC 2397)."""
    return _URL + b2a_base64(body, newline=False) if is_raw and len(body) < _MOST_LOGGED else body


class _Raw:
    """The bytes after the JSON, taken in the order of the inputs."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def take(self, name: str, size: int) -> memoryview:
        if self._at + size > len(self._view):
            raise InferenceError(
                f"'{name}' has {size} raw bytes, but only {len(self._view) - self._at} are left of the body"
            )
        self._at += size
        return self._view[self._at - size : self._at]

    def must_be_used(self) -> None:
        if self._at != len(self._view):
            raise InferenceError(f"unexpected additional input data: {len(self._view) - self._at} bytes")


def _input(one: Any) -> _Input:
    name = _name(one)
    parameters = _parameters(one)
    must_be_supported(parameters)
    for key in ("datatype", "shape"):
        if key not in one:
            raise InferenceError(f"input '{name}' has no '{key}'")
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in one:
            raise InferenceError(f"input '{name}' has no 'data'")
        encoded = parameters.get("content_type") == "base64"
        return _Input(name, one["datatype"], one["shape"], None, one["data"], encoded)
    if "data" in one:
        raise InferenceError(f"input '{name}' has both 'data' and 'binary_data_size'")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise InferenceError(f"'binary_data_size' of '{name}' must be a whole number from 0")
    return _Input(name, one["datatype"], one["shape"], size)


def _tensor(one: _Input, raw: _Raw) -> Tensor:
    if one.size is None:
        return from_data(one.name, one.datatype, one.shape, one.data, one.encoded)
    return from_raw(one.name, one.datatype, one.shape, raw.take(one.name, one.size))


def must_be_supported(parameters: Mapping[str, Any]) -> None:
    """Parameters of a tensor.

    Raises:
        InferenceError: one of them would change what the tensor means.
    """
    for name in _UNSUPPORTED:
        if name in parameters:
            raise InferenceError(f"'{name}' is not supported")


def _listed(message: Mapping[str, Any], key: str) -> list[Any]:
    found = message.get(key, [] if key == "outputs" else None)
    if not isinstance(found, list):
        raise InferenceError(f"'{key}' must be a list")
    return found


def _name(one: Any) -> str:
    name = one.get("name") if isinstance(one, dict) else None
    if not isinstance(name, str):
        raise InferenceError("every input and output must be an object with a 'name'")
    return name


def _parameters(one: Mapping[str, Any]) -> dict[str, Any]:
    found = one.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InferenceError("'parameters' must be an object")
    return found
