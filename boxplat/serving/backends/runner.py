"""What every back end is: a callable from arrays to arrays that says what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class UnusableError(Exception):
    """A back end that this machine, this installation or this model cannot run on."""


@dataclass(frozen=True)
class Spec:
    """One input: its name, its type and its shape, None where any size goes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]


class Runner(Protocol):
    """A model on one back end. `inputs` is empty where the model does not say what it takes."""

    inputs: tuple[Spec, ...]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Outputs of contiguous, writable inputs of the right types, all with the same number of rows, at least one."""
        ...
