"""One callable for every back end: checks what it is given, and keeps no rows and one row from being special."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from boxplat.serving.backends.runner import Array, Runner, Spec


class Model:
    """A loaded model.

    `backend` is what it runs on and `reason` why, where that is not what was chosen; `version` its number in the
    registry, or "unregistered".

    Calling it takes one array [N, …] for each input (tensors too) and returns one array [N, …], or a tuple of them
    where the model has several outputs. Safe to call from several threads.
    """

    def __init__(self, runner: Runner, backend: str, version: str, reason: str = "") -> None:
        self._runner = runner
        self.backend = backend
        self.version = version
        self.reason = reason

    @property
    def inputs(self) -> tuple[Spec, ...]:
        """Names, types and shapes of the inputs; empty where the model does not say."""
        return self._runner.inputs

    def __call__(self, *inputs: Any) -> Any:
        """Answers to a batch.

        Raises:
            ValueError: another number of inputs than the model takes, or one of another shape or kind of number.
        """
        arrays = self._arrays(inputs)
        empty = bool(arrays and arrays[0].ndim and not len(arrays[0]))
        # Compiled programs and captured graphs exist for one row and more.
        outputs = self._runner([np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays] if empty else arrays)
        if empty:
            outputs = [output[:0] for output in outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def warm(self, sizes: Iterable[int], example: Sequence[Array] = ()) -> None:
        """Answer batches of these sizes once, so that no request pays for what happens the first time.

        Args:
            example: rows to repeat; zeros where there are none.
        """
        if not example and not self.inputs:
            return
        for size in sizes:
            self(*(_repeated(array, size) for array in example or [self._zeros(spec) for spec in self.inputs]))

    def _arrays(self, inputs: Sequence[Any]) -> list[Array]:
        specs = self.inputs
        if not specs:
            return [np.require(_array(value), requirements=("C", "W")) for value in inputs]
        if len(inputs) != len(specs):
            names = ", ".join(spec.name for spec in specs)
            raise ValueError(f"the model takes {len(specs)} inputs ({names}), not {len(inputs)}")
        return [_fitting(_array(value), spec) for value, spec in zip(inputs, specs, strict=True)]

    @staticmethod
    def _zeros(spec: Spec) -> Array:
        return np.zeros([1 if size is None else size for size in spec.shape], spec.dtype)


def _array(value: Any) -> Array:
    """An array of whatever is one; a tensor may need a gradient or lie on another device."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _fitting(array: Array, spec: Spec) -> Array:
    fits = array.ndim == len(spec.shape) and all(
        size is None or size == real for size, real in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
        raise ValueError(f"{spec.name} has shape {list(array.shape)}, the model takes [{wanted}]")
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise ValueError(f"{spec.name} is {array.dtype}, the model takes {spec.dtype}")
    return np.require(array, spec.dtype, ("C", "W"))


def _repeated(array: Array, size: int) -> Array:
    """The first `size` rows of as many copies as that takes; an input without rows as it is."""
    if not array.ndim:
        return array
    return np.resize(array, (size, *array.shape[1:]))
