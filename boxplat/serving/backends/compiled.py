"""torch.compile (Inductor) on the CPU. It needs a C++ compiler."""

from __future__ import annotations

import torch

from boxplat.serving.backends.eager import Architecture, Eager, loaded
from boxplat.serving.backends.source import Source


def make(source: Source, threads: int, architecture: Architecture | None) -> Eager:
    """The model, compiled at its first calls for any number of rows."""
    module, inputs = loaded(source, architecture)
    return Eager(torch.compile(module, dynamic=True), inputs, threads)
