"""Models for the tests, and their folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

ROWS = 5


class Gated(nn.Module):
    """Rows [N, 6] (five numbers with NaN for missing, one code) to a probability [N]: the sample's operations."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(4, 3)
        self.layers = nn.Sequential(nn.Linear(13, hidden), nn.BatchNorm1d(hidden), nn.SiLU(), nn.Linear(hidden, 1))
        self.eval()

    def forward(self, rows: Tensor) -> Tensor:
        numbers, codes = rows[:, :5], rows[:, 5].long()
        flags = torch.isnan(numbers).to(rows.dtype)
        dense = torch.cat([torch.nan_to_num(numbers), flags, self.embedding(codes)], dim=1)
        return torch.sigmoid(self.layers(dense).squeeze(1))


class Pair(nn.Module):
    """Two inputs [N, 2] and [N, 3] to two outputs, [N, 2] and [N]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.left, self.right = nn.Linear(2, 2), nn.Linear(3, 2)
        self.eval()

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        both = self.left(left) + self.right(right)
        return {"both": both, "sum": both.sum(1)}


class Wide(nn.Module):
    """Rows [N, 6] to a probability [N] that does not depend on the first number, which is larger by far.

    One scale for all numbers of a row, in 8 bits, leaves nothing of the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 2)
        with torch.no_grad():
            self.layer.weight[:] = torch.tensor([[0.0, 2.0, -1.0, 3.0, -2.0, 1.0], [0.0, -2.0, 1.0, -3.0, 2.0, -1.0]])
            self.layer.bias[:] = 0
        self.eval()

    def forward(self, rows: Tensor) -> Tensor:
        return torch.softmax(self.layer(rows), dim=1)[:, 0]


class Unexportable(nn.Module):
    """Rows [N, 6] to one number each, by an operator that ONNX has no equal of."""

    def forward(self, rows: Tensor) -> Tensor:
        return torch.special.airy_ai(rows).sum(1)


def example(module: nn.Module, rows: int = ROWS) -> tuple[Tensor, ...]:
    """Inputs of a model."""
    if isinstance(module, Pair):
        return torch.ones(rows, 2), torch.ones(rows, 3)
    return (torch.ones(rows, 6),)


def exported(module: nn.Module, folder: Path, rows: int = ROWS) -> Path:
    """A model folder with the program that `torch.export` makes of a module, for any number of rows."""
    inputs = example(module, rows)
    sizes = torch.export.Dim("rows", min=1, max=4096)
    program = torch.export.export(module, inputs, dynamic_shapes=tuple({0: sizes} for _ in inputs))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    torch.export.save(program, folder / "data" / "model.pt2")
    return folder


def converted(folder: Path) -> Path:
    """The same folder with the files that calibration makes."""
    from boxplat.serving.backends import convert

    convert.convert(folder)
    return folder


def rows_of(numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Inputs of `Gated`."""
    return np.column_stack([numbers, codes]).astype(np.float32)
