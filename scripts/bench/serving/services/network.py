"""The model that every contender serves: 64 numbers in, one out, in torch, on one thread."""

from __future__ import annotations

import os

import numpy as np
import torch

WIDTHS = {"small": 256, "heavy": 2560}


class Network:
    """An MLP with two hidden layers of equal width, its weights from a fixed seed; BENCH_MODEL names the width."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        width = WIDTHS[os.environ.get("BENCH_MODEL", "small")]
        layers = [torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1)).eval()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Rows of 64 numbers to rows of one."""
        with torch.inference_mode():
            return self.layers(torch.from_numpy(x.astype(np.float32))).numpy()
