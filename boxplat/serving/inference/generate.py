"""Triton's generate extension: a JSON object in, a JSON object or a stream of them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import to_json

from boxplat.serving.inference import wire
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.model import Model
from boxplat.serving.inference.schema import OUTPUT, Field, Kind
from boxplat.serving.inference.tensors import BYTES, Tensor, from_data, to_data
from boxplat.serving.inference.wire import Asked

TEXT_IN = "text_input"
TEXT_OUT = "text_output"


@dataclass(frozen=True)
class Said:
    """A request, and what its answers need to know of it."""

    asked: Asked
    given: Mapping[str, Field]
    name: str
    version: str

    @classmethod
    def of(cls, body: bytes, model: Model, name: str, version: str) -> Said:
        """As `read`."""
        return cls(read(body, model), model.given.named(), name, version)

    def message(self, tensors: list[Tensor]) -> dict[str, Any]:
        """An answer: each output by its name, a text's `text_output`; one element alone is no list."""
        found: dict[str, Any] = {"id": self.asked.id} if self.asked.id else {}
        found |= {"model_name": self.name, "model_version": self.version}
        for tensor in tensors:
            data, _ = to_data(tensor)
            if _is_answer_text(tensor, self.given):
                found[TEXT_OUT] = "".join(data)
            else:
                found[tensor.name] = data[0] if tensor.shape == [1] else _nested(tensor, data)
        return found


def read(body: bytes, model: Model) -> Asked:
    """A request: its fields, and those in `parameters`, are the API's inputs; `text_input` is its first text.

    Raises:
        InferenceError: it is not what the model takes. What is no input and is given in `parameters` is left out.
    """
    message = wire.parsed(body)
    parameters = message.pop("parameters", None) or {}
    identity = message.pop("id", "")
    if not isinstance(parameters, dict) or not isinstance(identity, str):
        raise InferenceError("'parameters' must be an object and 'id' a string")
    known = model.taken.named()
    first = next((field.name for field in model.taken.fields if _is_text(field)), None)
    if TEXT_IN in message and TEXT_IN not in known and first is not None:
        message.setdefault(first, message.pop(TEXT_IN))
    given = {name: value for name, value in parameters.items() if name in known} | message
    for name in given:
        if name not in known:
            raise InferenceError(f"'{name}' is no input of the model; it has: {', '.join(known) or 'none'}")
    return Asked([_tensor(known[name], value) for name, value in given.items()], id=identity, parameters=parameters)


def _is_text(field: Field) -> bool:
    return field.datatype == BYTES and field.kind in (Kind.SCALAR, Kind.LIST)


def _tensor(field: Field, value: Any) -> Tensor:
    if field.kind in (Kind.JSON, Kind.FRAME):
        return from_data(field.name, BYTES, [1], [to_json(value, inf_nan_mode="constants").decode()])
    values = value if isinstance(value, list) else [value]
    shape = _shape(field.name, values)
    datatype = field.datatype
    if field.kind is Kind.ARRAY and not field.exact and np.array(values).dtype.kind == "U":
        datatype = BYTES
    return from_data(field.name, datatype, shape, values)


def _shape(name: str, values: list[Any]) -> list[int]:
    try:
        return list(np.array(values, object if not values else None).shape)
    except ValueError:
        raise InferenceError(f"'{name}' is no regular array") from None


def _is_answer_text(tensor: Tensor, given: Mapping[str, Field]) -> bool:
    return tensor.name == OUTPUT and OUTPUT in given and given[OUTPUT].kind is Kind.SCALAR and tensor.datatype == BYTES


def _nested(tensor: Tensor, data: list[Any]) -> Any:
    if tensor.datatype != BYTES:
        return tensor.values.tolist()
    texts = np.empty(len(data), object)
    texts[:] = data
    return texts.reshape(tensor.shape).tolist()


def event(message: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + to_json(message, inf_nan_mode="constants") + b"\n\n"
