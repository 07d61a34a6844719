"""NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from boxplat.serving.codecs.numbers import UnfitError, numbers

_PLAIN_KINDS = "biuf"
_DOUBLE = 8


def tensor_schema(rules: Sequence[Any], kind: str) -> Any:
    """BentoML's description of a value that is a tensor of this format and has no other rule, else None.

    A positional parameter has it twice: the first makes the tensor, and the others find one made.
    """
    from _bentoml_sdk.validators import TensorSchema  # type: ignore[import-untyped]

    fits = rules and all(isinstance(one, TensorSchema) and one.format == kind for one in rules)
    return rules[0] if fits else None


def take(rules: Sequence[Any]) -> Callable[[Any], Any] | None:
    """How a parsed JSON value becomes an array of this type; None where it is no array."""
    schema = tensor_schema(rules, "numpy-array")
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


def text(rules: Sequence[Any]) -> Callable[[Any], bytes] | None:
    """How an array becomes JSON; None where the type is no array."""
    if tensor_schema(rules, "numpy-array") is None:
        return None
    import numpy as np

    def written(value: Any) -> bytes:
        if type(value) is not np.ndarray or value.dtype.kind not in _PLAIN_KINDS or value.dtype.itemsize > _DOUBLE:
            raise UnfitError
        return numbers(value.tolist())

    return written
