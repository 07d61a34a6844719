"""From a request's tensors to the arguments of an API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from boxplat.serving.codecs.models import Arguments, Read, arguments
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.schema import Field, Kind, Signature
from boxplat.serving.inference.tensors import BF16, BYTES, Tensor

_FAMILIES = {"INT64": "iu", "FP64": "fiu", "BOOL": "b"}
# What JSON has no form for, or a slow one.
_TYPED = (Kind.ARRAY, Kind.BINARY, Kind.FILE, Kind.FRAME)


def document(tensors: Sequence[Tensor], taken: Signature, model: str) -> Any:
    """The body that these tensors stand for: its fields by name, or the one value that it is.

    Arrays are numpy's (bfloat16: torch's), bytes are bytes, and the rest is what JSON would give.

    Raises:
        InferenceError: a tensor is missing, unknown, or not what the API takes.
    """
    known = taken.named()
    frame = next((field for field in taken.fields if field.kind is Kind.FRAME), None)
    found: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for tensor in tensors:
        field = known.get(tensor.name)
        if tensor.name in found or tensor.name in columns:
            raise InferenceError(f"input '{tensor.name}' is given more than once")
        if field is not None:
            found[tensor.name] = _value(tensor, field, model)
        elif frame is not None:
            columns[tensor.name] = _column(tensor)
        else:
            raise InferenceError(f"unexpected inference input '{tensor.name}' for model '{model}'")
    if frame is not None and columns:
        if frame.name in found:
            raise InferenceError(f"model '{model}' takes '{frame.name}' either whole or as one tensor for each column")
        found[frame.name] = _framed(columns)
    _complete(found, taken, model)
    return found.get(taken.fields[0].name) if taken.whole else found


def _complete(found: Mapping[str, Any], taken: Signature, model: str) -> None:
    missing = [field.name for field in taken.fields if not field.optional and field.name not in found]
    if missing:
        raise InferenceError(
            f"expected {len(taken.fields)} inputs but got {len(found)} inputs for model '{model}'."
            f" Missing: {', '.join(missing)}"
        )


def is_plain(found: Any, taken: Signature) -> bool:
    """Whether a document is one that JSON can hold without loss."""
    if taken.whole:
        return not isinstance(found, np.ndarray | bytes | dict) or taken.fields[0].kind not in _TYPED
    return not any(field.kind in _TYPED and field.name in found for field in taken.fields)


def as_json(found: Any) -> bytes:
    """A document as a JSON body.

    Raises:
        InferenceError: it holds bytes that are no text.
    """
    try:
        return to_json(found, inf_nan_mode="constants", fallback=_listed)
    except ValueError as error:
        raise InferenceError(f"the input cannot be written as JSON: {error}") from None


def _listed(value: Any) -> Any:
    return value.tolist()


def made(found: Any, taken: Signature, spec: Any, read: Read) -> Arguments:
    """The arguments of a call: what the API's model makes of a document.

    Args:
        read: how the plain way makes them of a JSON body.

    Raises:
        pydantic.ValidationError: the model refuses it.
    """
    if is_plain(found, taken):
        return read(as_json(found))
    return arguments(spec)(spec.model_validate(found))


def _value(tensor: Tensor, field: Field, model: str) -> Any:
    if field.kind is Kind.ARRAY:
        return _array(tensor, field, model)
    if field.kind is Kind.LIST:
        _ranked(tensor, len(field.shape))
        return _texts(tensor) if field.datatype == BYTES else _numbers(tensor, field).tolist()
    if field.kind is Kind.SCALAR and field.datatype != BYTES:
        return _one(tensor, _numbers(tensor, field)).item()
    raw = _bytes(tensor)
    if field.kind in (Kind.BINARY, Kind.FILE):
        return raw
    return _text(tensor.name, raw) if field.kind is Kind.SCALAR else _parsed(tensor.name, raw)


def _array(tensor: Tensor, field: Field, model: str) -> Any:
    if field.exact and tensor.datatype != field.datatype:
        raise InferenceError(
            f"inference input '{tensor.name}' data-type is '{tensor.datatype}', but model '{model}' expects"
            f" '{field.datatype}'"
        )
    if field.ranked and not _fits(tensor.values.shape, field.shape):
        raise InferenceError(
            f"unexpected shape for input '{tensor.name}' for model '{model}'. Expected {list(field.shape)},"
            f" got {tensor.shape}"
        )
    if tensor.datatype == BF16:
        return _brain(tensor.values, field.library)
    if tensor.datatype == BYTES:
        return np.array(_texts(tensor))
    return tensor.values


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(b in (-1, a) for a, b in zip(shape, wanted, strict=True))


def _brain(bits: np.ndarray[Any, Any], library: str) -> Any:
    """bfloat16: torch's own where the API takes that, otherwise the same numbers as float32."""
    if library == "torch-tensor":
        import torch

        return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _numbers(tensor: Tensor, field: Field) -> np.ndarray[Any, Any]:
    values = tensor.values
    if tensor.datatype in (BYTES, BF16) or values.dtype.kind not in _FAMILIES[field.datatype]:
        raise InferenceError(
            f"inference input '{tensor.name}' data-type is '{tensor.datatype}', but '{field.datatype}' is expected"
        )
    return values


def _ranked(tensor: Tensor, rank: int) -> None:
    if tensor.values.ndim != rank:
        raise InferenceError(f"unexpected shape for input '{tensor.name}'. Expected {[-1] * rank}, got {tensor.shape}")


def _one(tensor: Tensor, values: Any) -> Any:
    if values.size != 1:
        raise InferenceError(f"input '{tensor.name}' must hold one element, got shape {tensor.shape}")
    return values


def _must_be_bytes(tensor: Tensor) -> None:
    if tensor.datatype != BYTES:
        raise InferenceError(
            f"inference input '{tensor.name}' data-type is '{tensor.datatype}', but '{BYTES}' is expected"
        )


def _bytes(tensor: Tensor) -> bytes:
    _must_be_bytes(tensor)
    found: bytes = _one(tensor, tensor.values).item()
    return found


def _texts(tensor: Tensor) -> Any:
    _must_be_bytes(tensor)
    found = np.empty(tensor.values.size, object)
    found[:] = [_text(tensor.name, one) for one in tensor.values.flat]
    return found.reshape(tensor.values.shape).tolist()


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InferenceError(f"an element of input '{name}' is no text in UTF-8") from None


def _parsed(name: str, raw: bytes) -> Any:
    try:
        return from_json(raw)
    except ValueError as error:
        raise InferenceError(f"input '{name}' holds no valid JSON: {error}") from None


def _column(tensor: Tensor) -> Any:
    """A column of a table: of shape [n], or [n, 1] as MLServer writes it."""
    if tensor.values.ndim not in (1, 2) or (tensor.values.ndim == 2 and tensor.values.shape[1] != 1):
        raise InferenceError(f"column '{tensor.name}' must have the shape [n] or [n, 1], got {tensor.shape}")
    if tensor.datatype == BF16:
        return _brain(tensor.values.ravel(), "")
    if tensor.datatype != BYTES:
        return tensor.values.ravel()
    return np.array([_text(tensor.name, one) for one in tensor.values.flat], object)


def _framed(columns: dict[str, Any]) -> dict[str, Any]:
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in columns.items())
        raise InferenceError(f"the columns differ in length ({lengths})")
    return columns
