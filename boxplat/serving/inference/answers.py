"""From what an API gives to tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.schema import OUTPUT, Field, Kind, Signature
from boxplat.serving.inference.tensors import BF16, BYTES, DATATYPES, DTYPES, Tensor

Whole = Callable[[Any], bytes]


def tensors(value: Any, given: Signature, wanted: Collection[str], model: str, whole: Whole) -> list[Tensor]:
    """The tensors of an answer.

    Args:
        wanted: names to be given, in this order; none: all. `output` is always one of them: where it is no field of
            the answer, it is the whole answer as one BYTES element.
        whole: writes the body of the plain answer.

    Raises:
        InferenceError: a wanted name is not among the answer's.
    """
    found = list(_all(value, given))
    if not wanted:
        return found
    named = {tensor.name: tensor for tensor in found}
    if OUTPUT in wanted and OUTPUT not in named:
        named[OUTPUT] = _bytes(OUTPUT, [whole(value)], (1,))
    for name in wanted:
        if name not in named:
            raise InferenceError(f"unexpected inference output '{name}' for model '{model}'")
    return [named[name] for name in wanted]


def _all(value: Any, given: Signature) -> Iterator[Tensor]:
    field = given.fields[0] if given.fields else None
    if not given.whole:
        for one in given.fields:
            yield tensor(one.name, getattr(value, one.name), one)
    elif field is not None and field.kind is Kind.FRAME:
        yield from (_array(str(name), column) for name, column in _columns(value))
    elif given.keyed and isinstance(value, dict) and value:
        yield from (tensor(str(name), inner) for name, inner in value.items())
    else:
        yield tensor(OUTPUT, value, field)


def tensor(name: str, value: Any, field: Field | None = None) -> Tensor:
    """The tensor of one value.

    Args:
        field: what the API's schema says of it; None: only the value speaks.
    """
    if hasattr(value, "detach"):
        return _torch(name, value)
    if isinstance(value, np.ndarray | np.generic):
        return _array(name, np.asarray(value))
    if field is not None and field.kind is not Kind.JSON:
        return _declared(name, value, field)
    if field is None:
        return _guessed(name, value)
    return _bytes(name, [_written(value)], (1,))


def _declared(name: str, value: Any, field: Field) -> Tensor:
    if field.kind is Kind.ARRAY:
        dtype = DTYPES[field.datatype] if field.exact and field.datatype != BF16 else None
        return _array(name, np.array(value, dtype))
    if value is None:
        return _filled(name, field.datatype, [])
    if field.kind in (Kind.SCALAR, Kind.LIST) and field.datatype != BYTES:
        return _filled(name, field.datatype, value if field.kind is Kind.LIST else [value])
    if field.kind is Kind.LIST:
        texts = np.array(value, object)
        return _bytes(name, [_element(one) for one in texts.flat], texts.shape)
    return _bytes(name, [_element(value)], (1,))


def _filled(name: str, datatype: str, values: Any) -> Tensor:
    """Numbers of a datatype; as JSON text where they do not fit it or are no regular array."""
    try:
        return Tensor(name, datatype, np.array(values, DTYPES.get(datatype, object)))
    except (OverflowError, ValueError):
        return _bytes(name, [_written(values)], (1,))


def _guessed(name: str, value: Any) -> Tensor:
    if isinstance(value, str | bytes):
        return _bytes(name, [_element(value)], (1,))
    if isinstance(value, bool | int | float):
        value = [value]
    if isinstance(value, list) and value:
        try:
            found = np.array(value)
        except (ValueError, OverflowError):
            return _bytes(name, [_written(value)], (1,))
        if found.dtype.kind in "biuf" or (found.dtype.kind == "U" and _are_texts(value)):
            return _array(name, found)
    return _bytes(name, [_written(value)], (1,))


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(one, str) or (isinstance(one, list) and _are_texts(one)) for one in values)


def _array(name: str, values: np.ndarray[Any, Any]) -> Tensor:
    datatype = DATATYPES.get(values.dtype.newbyteorder("<").str)
    if datatype is not None:
        return Tensor(name, datatype, values.astype(DTYPES[datatype], copy=False))
    if values.dtype.kind in "US":
        return _bytes(name, [_element(one) for one in values.ravel().tolist()], values.shape)
    if values.dtype.kind in "OMm":
        texts = values if values.dtype.kind == "O" else values.astype(str)
        return _bytes(name, [_element(one) for one in texts.ravel().tolist()], values.shape)
    raise InferenceError(f"the output '{name}' is of type {values.dtype}, which the protocol does not have", 500)


def _torch(name: str, value: Any) -> Tensor:
    import torch

    plain = value.detach().cpu().contiguous()
    if plain.dtype == torch.bfloat16:
        return Tensor(name, BF16, plain.view(torch.int16).numpy().view(DTYPES[BF16]))
    return _array(name, plain.numpy())


def _columns(value: Any) -> Iterator[tuple[Any, Any]]:
    """The columns of a frame, or of its JSON: records, or lists by column."""
    import pandas as pd

    frame = value if isinstance(value, pd.DataFrame) else pd.DataFrame(value)
    for place, name in enumerate(frame.columns):
        yield name, frame.iloc[:, place].to_numpy()


def _bytes(name: str, elements: list[bytes], shape: tuple[int, ...]) -> Tensor:
    found = np.empty(len(elements), object)
    found[:] = elements
    return Tensor(name, BYTES, found.reshape(shape))


def _element(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else _written(value)


def _written(value: Any) -> bytes:
    return to_json(value, inf_nan_mode="constants", fallback=_plain)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def checked(value: Any, spec: Any) -> Any:
    """A value as the plain answer would hold it: coerced by the model of the API's answer.

    Raises:
        pydantic.ValidationError: it is not what the API says that it gives.
        TypeError: likewise, where the API gives a model.
    """
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):
        return value
    if not issubclass(spec, IORootModel):
        if not isinstance(value, BaseModel):
            raise TypeError(f"the API gave {type(value).__name__} and not its model")
        return value
    return (value if isinstance(value, IORootModel) else spec(value)).root


def joined(parts: Sequence[Sequence[Tensor]], given: Signature) -> list[Tensor]:
    """The parts of a stream as one answer: those of each name one after the other in the first dimension.

    Raises:
        InferenceError: status 400: they differ too much for that.
    """
    if not parts:
        fields = [Field(OUTPUT, Kind.JSON)] if given.keyed else given.fields
        return [_filled(one.name, one.datatype, []) for one in fields]
    kinds = {tuple((tensor.name, tensor.datatype) for tensor in part) for part in parts}
    if len(kinds) == 1:
        try:
            return [
                Tensor(name, datatype, np.concatenate([np.atleast_1d(part[place].values) for part in parts]))
                for place, (name, datatype) in enumerate(kinds.pop())
            ]
        except ValueError:
            pass
    raise InferenceError("the parts of the answer differ in their tensors: ask for them one by one, as a stream")


def parsed(body: bytes, kind: str) -> Any:
    """The value of a plain answer's body."""
    if kind.startswith("application/json"):
        return from_json(body)
    return body
