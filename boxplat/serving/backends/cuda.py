"""The GPU: pinned memory, copies that do not block the host, captured graphs, fewer bits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.export.passes import move_to_device_pass
from torch.utils._pytree import tree_leaves

from boxplat.serving.backends import eager
from boxplat.serving.backends.eager import Architecture
from boxplat.serving.backends.narrow import narrow
from boxplat.serving.backends.runner import Array, Runner, Spec, UnusableError
from boxplat.serving.backends.source import Source

_NARROW = {"cuda-bfloat16": torch.bfloat16, "cuda-float16": torch.float16}
_WARM_UPS = 3

Module = Callable[..., Any]


def make(source: Source, name: str, architecture: Architecture | None, largest: int) -> Runner:
    """The model on the current GPU.

    Args:
        largest: rows of the largest graph; what is larger goes in parts.

    Raises:
        UnusableError: there is no GPU, or the model cannot be captured or narrowed.
    """
    if not torch.cuda.is_available():
        raise UnusableError("torch finds no CUDA device")
    if source.program is None:
        if name != "cuda":
            raise UnusableError("only exported programs are captured in graphs")
        module, inputs = eager.loaded(source, architecture)
        return Streamed(module.to("cuda"), inputs)
    program = move_to_device_pass(eager.exported(source), "cuda")
    moved, inputs = program.module(), eager.specs(program)
    if name == "cuda":
        return Streamed(moved, inputs)
    if name in _NARROW:
        assert isinstance(moved, fx.GraphModule)
        if not narrow(moved, _NARROW[name]):
            raise UnusableError("the model has no products of float32 matrices")
    return Captured(moved, inputs, largest)


class Streamed:
    """A module on the GPU, called as it is, with copies from and to pinned memory on a stream of its own."""

    def __init__(self, module: Module, inputs: tuple[Spec, ...]) -> None:
        self.inputs = inputs
        self._module = module
        self._stream = _stream()

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            tensors = [torch.from_numpy(array).pin_memory().to("cuda", non_blocking=True) for array in arrays]
            outputs = [_to_host(tensor) for tensor in tree_leaves(self._module(*tensors))]
            self._stream.synchronize()
        return [eager.array_of(tensor) for tensor in outputs]


def _stream() -> Any:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    target = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return target.copy_(tensor, non_blocking=True)


@dataclass(frozen=True)
class _Graph:
    """A captured call for so many rows: where its inputs and outputs lie on the host (pinned) and on the device."""

    graph: torch.cuda.CUDAGraph
    given: list[torch.Tensor]
    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]
    answers: list[torch.Tensor]


class Captured:
    """One CUDA graph for each power of two up to `largest` rows; a batch goes into the next larger one.

    Rows beyond the batch hold what an earlier one left there, so the rows of a model must not depend on each other
    (calibration would see it).

    Raises:
        UnusableError: an input has sizes besides the rows that are not fixed, or no rows.
    """

    def __init__(self, module: Module, inputs: tuple[Spec, ...], largest: int) -> None:
        if not inputs or any(None in spec.shape[1:] or spec.shape[:1] != (None,) for spec in inputs):
            raise UnusableError("graphs need inputs of which only the number of rows is free")
        self.inputs = inputs
        self._module = module
        self._stream = _stream()
        self._lock = threading.Lock()
        self._largest = bucket(largest)
        self._graphs: dict[int, _Graph] = {}
        pool = torch.cuda.graph_pool_handle()
        # The largest first: the smaller ones then fit into its memory.
        for power in range(self._largest.bit_length() - 1, -1, -1):
            self._graphs[1 << power] = self._captured(1 << power, pool)

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        rows = len(arrays[0])
        starts = range(0, rows, self._largest)
        # Graphs share their memory: one at a time, until its answers are on the host.
        with self._lock, torch.inference_mode(), torch.cuda.stream(self._stream):
            parts = [self._part([array[start : start + self._largest] for array in arrays]) for start in starts]
        return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _part(self, arrays: list[Array]) -> list[Array]:
        rows = len(arrays[0])
        found = self._graphs[bucket(rows)]
        for array, given, device in zip(arrays, found.given, found.inputs, strict=True):
            given[:rows].copy_(torch.from_numpy(array))
            device[:rows].copy_(given[:rows], non_blocking=True)
        found.graph.replay()
        for output, answer in zip(found.outputs, found.answers, strict=True):
            answer[:rows].copy_(output[:rows], non_blocking=True)
        self._stream.synchronize()
        return [eager.array_of(answer[:rows].clone()) for answer in found.answers]

    def _captured(self, rows: int, pool: Any) -> _Graph:
        given = [torch.zeros((rows, *_fixed(spec)), dtype=_torch(spec)).pin_memory() for spec in self.inputs]
        inputs = [tensor.to("cuda") for tensor in given]
        self._stream.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UPS):
                    self._module(*inputs)
            self._stream.synchronize()
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                outputs = tree_leaves(self._module(*inputs))
        if any(not output.ndim or len(output) != rows for output in outputs):
            raise UnusableError("an output has not one row for each row of the input")
        answers = [torch.empty(output.shape, dtype=output.dtype, pin_memory=True) for output in outputs]
        return _Graph(graph, given, inputs, outputs, answers)


def bucket(rows: int) -> int:
    """The power of two that is not below a number of rows."""
    return 1 << max(rows - 1, 0).bit_length()


def _fixed(spec: Spec) -> list[int]:
    return [size for size in spec.shape[1:] if size is not None]


def _torch(spec: Spec) -> torch.dtype:
    return torch.from_numpy(np.empty(0, spec.dtype)).dtype
