"""Torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boxplat.serving.codecs.arrays import tensor
from boxplat.serving.codecs.numbers import UnfitError, numbers


def take(core: Any) -> Callable[[Any], Any] | None:
    """How a parsed JSON value becomes a tensor of this schema; None where it is no tensor."""
    schema = tensor(core, "torch-tensor")
    if schema is None:
        return None
    import torch

    if schema.dtype is not None and not hasattr(torch, schema.dtype):
        return None
    kind = None if schema.dtype is None else getattr(torch, schema.dtype)
    make, shape = torch.tensor, schema.shape
    if shape is None:
        return lambda value: make(value, dtype=kind)
    return lambda value: make(value, dtype=kind).reshape(shape)


def text(core: Any) -> Callable[[Any], bytes] | None:
    """How a tensor becomes JSON; None where the schema is for no tensor."""
    if tensor(core, "torch-tensor") is None:
        return None
    import torch

    plain = {torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8}
    plain |= {torch.uint8, torch.bool}

    def written(value: Any) -> bytes:
        if type(value) is not torch.Tensor or value.dtype not in plain or value.requires_grad or value.is_sparse:
            raise UnfitError
        return numbers(value.tolist(), "null")

    return written
