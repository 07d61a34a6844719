"""NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boxplat.serving.codecs.numbers import UnfitError, numbers
from boxplat.serving.codecs.schemas import by_function

_PLAIN_KINDS = "biuf"
_DOUBLE = 8


def tensor(core: Any, kind: str) -> Any:
    """BentoML's description of a value that is a tensor of this format, else None."""
    from _bentoml_sdk.validators import TensorSchema  # type: ignore[import-untyped]

    found = by_function(core, TensorSchema)
    return found if found is not None and found.format == kind else None


def take(core: Any) -> Callable[[Any], Any] | None:
    """How a parsed JSON value becomes an array of this schema; None where it is no array."""
    schema = tensor(core, "numpy-array")
    if schema is None:
        return None
    import numpy as np

    if schema.dtype is not None and not hasattr(np, schema.dtype):
        return None
    kind = None if schema.dtype is None else getattr(np, schema.dtype)
    make, shape = np.array, schema.shape
    if shape is None:
        return lambda value: make(value, dtype=kind)
    return lambda value: make(value, dtype=kind).reshape(shape)


def text(core: Any) -> Callable[[Any], bytes] | None:
    """How an array becomes JSON; None where the schema is for no array."""
    if tensor(core, "numpy-array") is None:
        return None
    import numpy as np

    def written(value: Any) -> bytes:
        if type(value) is not np.ndarray or value.dtype.kind not in _PLAIN_KINDS or value.dtype.itemsize > _DOUBLE:
            raise UnfitError
        return numbers(value.tolist(), "null")

    return written
