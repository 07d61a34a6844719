"""What a codec and BentoML's own models make of the same thing, in a form that can be compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import torch


def outcome(function: Callable[[Any], Any], given: Any) -> Any:
    """What a function gives or raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "gives", plain(function(given))
        except pydantic.ValidationError as error:
            return "refuses", error.title, plain(error.errors(include_context=False, include_input=False))
        except Exception as error:
            return "raises", type(error)


def plain(value: Any) -> Any:
    """A value with the types and bits of everything in it."""
    if isinstance(value, torch.Tensor):
        return "tensor", str(value.dtype), value.requires_grad, plain(value.numpy())
    if isinstance(value, np.ndarray):
        content = plain(value.tolist()) if value.dtype.hasobject else value.tobytes()
        return "array", str(value.dtype), value.shape, value.flags.writeable, content
    if isinstance(value, pd.DataFrame):
        return "frame", plain(list(value.columns)), [plain(value[name].to_numpy()) for name in value], repr(value.index)
    if isinstance(value, dict):
        return type(value), [(plain(key), plain(one)) for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [plain(one) for one in value]
    return type(value), repr(value)
