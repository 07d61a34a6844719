"""Tensors of the inference protocol and their two forms: JSON data, and raw little-endian bytes.

Sources: the Open Inference Protocol v2 (tensor data types and shapes), Triton's binary tensor data extension (BYTES:
each element is its length in four bytes, little-endian, and then its bytes).
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxplat.serving.inference.failures import InferenceError

BYTES = "BYTES"
BF16 = "BF16"
# numpy has no bfloat16: its bits are kept in 16 unsigned ones.
_DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    BF16: "<u2",
}
DTYPES = {name: np.dtype(code) for name, code in _DTYPES.items()}
DATATYPES = {dtype.str: name for name, dtype in DTYPES.items() if name != BF16}
_LENGTH = struct.Struct("<I")
# As numpy has.
_MOST_DIMENSIONS = 64
# Of an empty tensor, those of no size left out: as nested lists, which need no data to become large, it is built whole.
_MOST_EMPTY = 2**24


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        values: of the tensor's shape; BYTES as objects of type bytes, BF16 as its bits in uint16.
    """

    name: str
    datatype: str
    values: np.ndarray[Any, Any]

    @property
    def shape(self) -> list[int]:
        """Its dimensions."""
        return list(self.values.shape)


def counted(name: str, shape: Any) -> int:
    """How many elements a shape holds.

    Raises:
        InferenceError: it is no list of whole numbers from zero, or no array may have it.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise InferenceError(f"the shape of '{name}' must be a list of whole numbers")
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 0 for size in shape):
        raise InferenceError(f"the shape of '{name}' must hold whole numbers from 0, got {list(shape)}")
    count = math.prod(shape)
    if len(shape) > _MOST_DIMENSIONS or (not count and math.prod(size or 1 for size in shape) > _MOST_EMPTY):
        raise InferenceError(f"the shape of '{name}' is too large")
    return count


def _dtype(name: str, datatype: Any) -> np.dtype[Any]:
    found = DTYPES.get(datatype) if isinstance(datatype, str) else None
    if found is None:
        raise InferenceError(f"'{name}' has the unknown datatype {datatype!r}; known: {', '.join([*DTYPES, BYTES])}")
    return found


def from_raw(name: str, datatype: Any, shape: Any, raw: bytes | memoryview) -> Tensor:
    """A tensor from its raw bytes; its values may be written to, as those from JSON may.

    Raises:
        InferenceError: the bytes do not fit the shape and the datatype.
    """
    count = counted(name, shape)
    if datatype == BYTES:
        return Tensor(name, BYTES, _objects(_parted(name, raw, count), shape))
    dtype = _dtype(name, datatype)
    if len(raw) != count * dtype.itemsize:
        raise InferenceError(
            f"unexpected total byte size {len(raw)} for input '{name}', expecting {count * dtype.itemsize}"
            f" for {datatype} of shape {list(shape)}"
        )
    return Tensor(name, datatype, np.frombuffer(raw, dtype).reshape(shape).copy())


def from_bytes(name: str, elements: Sequence[bytes], shape: Sequence[int]) -> Tensor:
    """A BYTES tensor of as many elements as its shape holds."""
    return Tensor(name, BYTES, _objects(elements, shape))


def to_raw(tensor: Tensor) -> bytes:
    """The bytes of a tensor, row-major and little-endian."""
    if tensor.datatype != BYTES:
        return np.ascontiguousarray(tensor.values, DTYPES[tensor.datatype]).tobytes()
    return b"".join(part for one in tensor.values.flat for part in (_LENGTH.pack(len(one)), one))


def _parted(name: str, raw: bytes | memoryview, count: int) -> list[bytes]:
    found: list[bytes] = []
    view = memoryview(raw)
    at = 0
    while at < len(view):
        if at + _LENGTH.size > len(view):
            raise InferenceError(f"the bytes of '{name}' end within the length of element {len(found)}")
        size = _LENGTH.unpack_from(view, at)[0]
        at += _LENGTH.size
        if at + size > len(view):
            raise InferenceError(f"the bytes of '{name}' end within element {len(found)}")
        found.append(bytes(view[at : at + size]))
        at += size
    if len(found) != count:
        raise InferenceError(f"expected {count} string elements for input '{name}', got {len(found)}")
    return found


def _objects(values: Sequence[bytes], shape: Sequence[int]) -> np.ndarray[Any, Any]:
    found = np.empty(len(values), object)
    found[:] = values
    return found.reshape(shape)


def from_data(name: str, datatype: Any, shape: Any, data: Any, encoded: bool = False) -> Tensor:
    """A tensor from JSON data, nested or flat in row-major order.

    Args:
        encoded: the elements of a BYTES tensor are in base 64 (MLServer's `content_type`).

    Raises:
        InferenceError: the data does not fit the shape and the datatype.
    """
    count = counted(name, shape)
    if not isinstance(data, list):
        raise InferenceError(f"the data of '{name}' must be a list")
    if datatype == BYTES:
        flat = _texts(name, data, encoded)
        _must_hold(name, len(flat), count, shape)
        return Tensor(name, BYTES, _objects(flat, shape))
    if datatype == BF16:
        raise InferenceError(f"'{name}': BF16 can only be sent as raw bytes")
    values = _numbers(name, datatype, data)
    _must_hold(name, values.size, count, shape)
    return Tensor(name, datatype, values.reshape(shape))


def _must_hold(name: str, found: int, count: int, shape: Sequence[int]) -> None:
    if found != count:
        raise InferenceError(f"'{name}' has {found} elements; its shape {list(shape)} needs {count}")


def _texts(name: str, data: list[Any], encoded: bool) -> list[bytes]:
    found: list[bytes] = []
    waiting = data[::-1]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(reversed(one))
        elif isinstance(one, str):
            found.append(_decoded(name, one) if encoded else one.encode("utf-8", "surrogatepass"))
        else:
            raise InferenceError(f"the elements of '{name}' must be strings, got {type(one).__name__}")
    return found


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InferenceError(f"an element of '{name}' is not in base 64") from None


def _numbers(name: str, datatype: str, data: list[Any]) -> np.ndarray[Any, Any]:
    dtype = _dtype(name, datatype)
    try:
        found = np.array(data)
        if found.dtype.kind == "O" and dtype.kind == "f" and None in found:
            # Not a number, as answers write it.
            found = found.astype(float)
    except (ValueError, OverflowError, TypeError):
        raise InferenceError(f"the data of '{name}' is no regular array of numbers") from None
    if not found.size:
        return found.astype(dtype)
    if dtype.kind in "iu":
        return _whole(name, datatype, data, found)
    if found.dtype.kind not in {"b": "b", "f": "iuf"}[dtype.kind]:
        raise InferenceError(f"the data of '{name}' is not of datatype {datatype}")
    with np.errstate(over="ignore"):
        return found.astype(dtype)


def _whole(name: str, datatype: str, data: list[Any], found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if found.dtype.kind in "fO":
        # What fits uint64 only may have become an object, or a float beside negative numbers.
        found = np.array(data, object)
        if not all(type(one) is int for one in found.flat):
            raise InferenceError(f"the data of '{name}' is not of datatype {datatype}")
    elif found.dtype.kind not in "iu":
        raise InferenceError(f"the data of '{name}' is not of datatype {datatype}")
    limits = np.iinfo(DTYPES[datatype])
    if int(found.min()) < limits.min or int(found.max()) > limits.max:
        raise InferenceError(f"a value of '{name}' is out of the range of {datatype}")
    return found.astype(DTYPES[datatype])


def to_data(tensor: Tensor) -> tuple[list[Any], bool]:
    """The data of a tensor, flat, and whether its elements had to be written in base 64.

    JSON has no infinite numbers and none for what is not a number: they are null, as in the plain answers of arrays.

    Raises:
        InferenceError: BF16, which JSON has no form for.
    """
    if tensor.datatype == BF16:
        raise InferenceError(f"'{tensor.name}' is BF16 and can only be had as raw bytes: ask for binary_data")
    if tensor.datatype != BYTES:
        data: list[Any] = tensor.values.ravel().tolist()
        if tensor.values.dtype.kind == "f" and not np.isfinite(tensor.values).all():
            data = [one if math.isfinite(one) else None for one in data]
        return data, False
    try:
        return [one.decode() for one in tensor.values.flat], False
    except UnicodeDecodeError:
        return [base64.b64encode(one).decode() for one in tensor.values.flat], True
