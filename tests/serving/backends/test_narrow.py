"""Fewer bits for products of matrices only; bfloat16 on the CPU shows what the GPU's back ends do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from boxplat.serving.backends import eager
from boxplat.serving.backends.narrow import narrow
from boxplat.serving.backends.source import Source
from tests.serving.backends import models


def test_products_are_narrow_and_the_rest_is_not(gated: Path) -> None:
    program = eager.exported(Source(gated)).module()
    assert isinstance(program, torch.fx.GraphModule)
    exact = eager.exported(Source(gated)).module()
    assert narrow(program, torch.bfloat16) == 2
    rows = torch.from_numpy(models.rows_of(np.random.default_rng(1).normal(size=(50, 5)), np.arange(50) % 4))
    rows[3, 2] = float("nan")
    with torch.inference_mode():
        found, expected = program(rows), exact(rows)
    assert found.dtype == torch.float32
    apart = (found - expected).abs().max()
    assert 0 < apart < 0.02, "bfloat16 has 8 significant bits: some difference, and a small one"
    assert program(rows[:1]).shape == (1,)


def test_weights_are_converted_once(gated: Path) -> None:
    program = eager.exported(Source(gated)).module()
    narrow(program, torch.bfloat16)
    narrowed = [buffer for name, buffer in program.named_buffers() if name.startswith("_narrow_")]
    assert [buffer.dtype for buffer in narrowed] == [torch.bfloat16] * 4, "weight and bias of two linear layers"
    assert {
        tensor.dtype for name, tensor in program.named_parameters() if "layers.0" in name or "layers.3" in name
    } == set()
