"""Arrays of NumPy and tensors of torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from boxplat.serving.codecs.numbers import PLAIN_KINDS, UnfitError, numbers
from boxplat.serving.codecs.schemas import by_function

# By BentoML's name for a format: the library, and its function that makes one of nested lists.
_LIBRARIES = {"numpy-array": ("numpy", "array"), "torch-tensor": ("torch", "tensor")}


def take(core: Any) -> Callable[[Any], Any] | None:
    """How a parsed JSON value becomes an array or a tensor of this schema; None where it is neither."""
    schema = _schema(core)
    if schema is None:
        return None
    name, maker = _LIBRARIES[schema.format]
    library, shape = import_module(name), schema.shape
    if schema.dtype is not None and not hasattr(library, schema.dtype):
        return None
    kind = None if schema.dtype is None else getattr(library, schema.dtype)
    make = getattr(library, maker)
    if shape is None:
        return lambda value: make(value, dtype=kind)
    return lambda value: make(value, dtype=kind).reshape(shape)


def text(core: Any) -> Callable[[Any], bytes] | None:
    """How an array or a tensor becomes JSON; None where the schema is for neither."""
    schema = _schema(core)
    if schema is None:
        return None
    return _of_arrays() if schema.format == "numpy-array" else _of_tensors()


def _schema(core: Any) -> Any:
    """BentoML's description of a value that is an array or a tensor, else None."""
    from _bentoml_sdk.validators import TensorSchema  # type: ignore[import-untyped]

    found = by_function(core, TensorSchema)
    return found if found is not None and found.format in _LIBRARIES else None


def _of_arrays() -> Callable[[Any], bytes]:
    import numpy as np

    plain = {np.dtype(name) for name in PLAIN_KINDS}

    def written(value: Any) -> bytes:
        if type(value) is not np.ndarray or value.dtype not in plain:
            raise UnfitError
        return numbers(value.tolist(), "null")

    return written


def _of_tensors() -> Callable[[Any], bytes]:
    import torch

    plain = {torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8}
    plain |= {torch.uint8, torch.bool}

    def written(value: Any) -> bytes:
        if type(value) is not torch.Tensor or value.dtype not in plain or value.requires_grad or value.is_sparse:
            raise UnfitError
        return numbers(value.tolist(), "null")

    return written
