"""Torch as it is: exported programs, and classes of the service's own with safetensors weights."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from boxplat.core.errors import BoxError, ExitCode
from boxplat.serving.backends import archive
from boxplat.serving.backends.runner import Array, Spec
from boxplat.serving.backends.source import Source

Architecture = str | Callable[[], torch.nn.Module]


class Eager:
    """A module on the CPU.

    Args:
        module: what torch calls, the module itself or what was compiled of it.
        threads: intra-op threads (torch has one number for the whole process).
    """

    def __init__(self, module: Callable[..., Any], inputs: tuple[Spec, ...], threads: int) -> None:
        torch.set_num_threads(threads)
        self.inputs = inputs
        self._module = module

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        with torch.inference_mode():
            return arrays_of(self._module(*(torch.from_numpy(array) for array in arrays)))


def make(source: Source, threads: int, architecture: Architecture | None, compiled: bool) -> Eager:
    """The model as torch runs it without further ado, or compiled (Inductor) at its first calls.

    Args:
        compiled: for any number of rows; it needs a C++ compiler.
    """
    module, inputs = loaded(source, architecture)
    return Eager(torch.compile(module, dynamic=True) if compiled else module, inputs, threads)


def loaded(source: Source, architecture: Architecture | None = None) -> tuple[torch.nn.Module, tuple[Spec, ...]]:
    """The module of an exported program or of an architecture with safetensors weights, and what it takes."""
    if source.program is not None:
        found = exported(source)
        return found.module(), specs(found)
    module = _constructed(source, architecture)
    assert source.weights is not None
    from safetensors.torch import load_file

    module.load_state_dict(load_file(source.weights))
    return module.eval(), ()


def exported(source: Source) -> torch.export.ExportedProgram:
    """The exported program, read without unpickling."""
    assert source.program is not None
    return torch.export.load(archive.read(source.program))


def program(folder: Path) -> torch.nn.Module:
    """The module of the exported program in a model folder, for what needs more than answers: gradients, say.

    Raises:
        BoxError: the folder has no exported program, or it would have to be unpickled.
    """
    source = Source(folder)
    source.check()
    return exported(source).module()


def specs(program: torch.export.ExportedProgram) -> tuple[Spec, ...]:
    """Names, types and shapes of a program's inputs, None where any size goes."""
    wanted = set(program.graph_signature.user_inputs)
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.name in wanted}
    return tuple(
        Spec(name, _numpy(value.dtype), tuple(size if isinstance(size, int) else None for size in value.shape))
        for name, value in values.items()
    )


def arrays_of(outputs: Any) -> list[Array]:
    """The tensors of an answer, however nested, as arrays in the order of the fields."""
    return [array_of(tensor) for tensor in tree_leaves(outputs)]


def array_of(tensor: torch.Tensor) -> Array:
    """A tensor as an array."""
    # NumPy has no bfloat16, and float32 holds all of its values.
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(force=True)
    return array


def _numpy(dtype: torch.dtype) -> np.dtype[Any]:
    return torch.empty(0, dtype=dtype).numpy().dtype


def _constructed(source: Source, architecture: Architecture | None) -> torch.nn.Module:
    if architecture is None:
        raise BoxError(
            f"the weights in {source.folder} need a class",
            why="safetensors holds tensors only, not the network that they belong to",
            fix='name it: backends.load(…, architecture="module:Class")',
            code=ExitCode.USAGE,
        )
    if isinstance(architecture, str):
        module, _, name = architecture.partition(":")
        made: object = getattr(importlib.import_module(module), name)()
    else:
        made = architecture()
    if not isinstance(made, torch.nn.Module):
        raise TypeError(f"{architecture} makes a {type(made).__name__}, not a torch.nn.Module")
    return made
