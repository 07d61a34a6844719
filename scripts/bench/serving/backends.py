"""Back ends of one model in process, at rising batch sizes, beside what the device can do at most.

usage: python scripts/bench/serving/backends.py [--models small,heavy] [--batches 1,8,32,128] [--backends …] [--turns 5]
                                                [--seconds 0.2] [--threads 1] [--json FILE]

Runs on the CPU or, where torch finds one, on the GPU too; needs torch and threadpoolctl, and onnx and onnxscript for
ONNX Runtime's rows. Every figure is the median of turns in which the back ends take one after the other. The limit is
the larger of two times: the model's multiplications at the rate of a large product of matrices measured here, and its
weights at the measured speed of memory. Arrays to and from the device are not in it. On a CPU the rate is that of
torch's and NumPy's float32; ONNX Runtime's own kernels, eight bits, and weights that fit into a cache may pass it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from boxplat.serving import backends
from boxplat.serving.backends import convert
from boxplat.serving.backends.loading import CPU, CUDA

INPUTS = 64
WIDTHS = {"small": 256, "heavy": 2560, "huge": 8192}
NARROW = {"cuda-bfloat16": torch.bfloat16, "cuda-float16": torch.float16}


def network(width: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
    return nn.Sequential(*layers).eval()


def exported(width: int, folder: Path) -> int:
    """Write the model and its ONNX files; the number of its weights."""
    module, rows = network(width), torch.export.Dim("rows", min=1, max=1 << 20)
    program = torch.export.export(module, (torch.zeros(8, INPUTS),), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "model.pt2")
    for name, why in convert.convert(folder).items():
        print(f"no {name}: {why}", file=sys.stderr)
    return sum(weights.numel() for weights in module.parameters())


def seconds(call: Callable[[], object], wanted: float, device: str = "cpu", best: bool = False) -> float:
    """Median (or least) time of a call, from calls for `wanted` seconds."""
    times = []
    end = time.perf_counter() + wanted
    while len(times) < 3 or time.perf_counter() < end:
        began = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times) if best else statistics.median(times)


class Limit:
    """What a device does at most: multiplications and additions a second by type, and bytes read a second."""

    def __init__(self, device: str, threads: int) -> None:
        self.device = device
        self.threads = threads
        size = 8192 if device == "cuda" else 1024
        types = (torch.float32, torch.bfloat16, torch.float16) if device == "cuda" else (torch.float32,)
        self.flops = {dtype: 2 * size**3 / self._product(size, dtype) for dtype in types}
        cells = torch.zeros((1 << 30) if device == "cuda" else (1 << 26), device=device)
        self.bytes = cells.nbytes / seconds(lambda: cells.sum(), 1.0, device, best=True)

    def _product(self, size: int, dtype: torch.dtype) -> float:
        left, right = (torch.randn(size, size, device=self.device).to(dtype) for _ in range(2))
        taken = seconds(lambda: left @ right, 1.0, self.device, best=True)
        if self.device == "cpu":
            # On some processors NumPy's library is several times as fast as torch's.
            arrays = left.numpy(), right.numpy()
            with threadpool_limits(self.threads):
                taken = min(taken, seconds(lambda: arrays[0] @ arrays[1], 1.0, best=True))
        return taken

    def seconds(self, weights: int, rows: int, dtype: torch.dtype) -> float:
        """The least time for a batch."""
        return max(2 * weights * rows / self.flops[dtype], weights * dtype.itemsize / self.bytes)

    def told(self) -> str:
        rates = ", ".join(f"{str(dtype)[6:]} {rate / 1e12:.3g} TFLOP/s" for dtype, rate in self.flops.items())
        return f"{self.device}: {rates}, memory {self.bytes / 1e9:.0f} GB/s"


def measured(folder: Path, names: list[str], asked: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Median seconds of a call by back end and rows, back ends in turns."""
    models = {}
    for name in names:
        began = time.perf_counter()
        try:
            models[name] = backends.load(folder, backend=name, threads=asked.threads, batches=tuple(asked.batches))
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        print(f"{name}: loaded and warm in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    rng = np.random.default_rng(1)
    turns: dict[str, dict[int, list[float]]] = {name: {rows: [] for rows in asked.batches} for name in models}
    for _ in range(asked.turns):
        for rows in asked.batches:
            batch = rng.normal(size=(rows, INPUTS)).astype(np.float32)
            for name, model in models.items():
                turns[name][rows].append(seconds(lambda model=model, batch=batch: model(batch), asked.seconds))
    return {name: {rows: statistics.median(some) for rows, some in sizes.items()} for name, sizes in turns.items()}


def show(found: dict[str, dict[int, float]], weights: int, limits: dict[str, Limit], batches: list[int]) -> None:
    """Microseconds a call, rows a second, and the share of the device's limit."""
    print("| back end | " + " | ".join(f"{rows} rows" for rows in batches) + " |")
    print("|---" * (len(batches) + 1) + "|")
    for name, times in found.items():
        limit = limits["cuda" if name in CUDA else "cpu"]
        dtype = NARROW.get(name, torch.float32)
        cells = []
        for rows in batches:
            # The CPU's limit is one of float32: eight bits may pass it.
            share = limit.seconds(weights, rows, dtype) / times[rows]
            cells.append(f"{times[rows] * 1e6:.0f} us, {rows / times[rows]:,.0f}/s, {share:.0%}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="small,heavy", help=f"of {', '.join(WIDTHS)}")
    parser.add_argument("--batches", default=[1, 8, 32, 128], type=lambda text: [int(one) for one in text.split(",")])
    parser.add_argument("--backends", default=",".join([*CPU, *(CUDA if torch.cuda.is_available() else ())]))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    names = asked.backends.split(",")
    limits = {
        device: Limit(device, asked.threads) for device in ("cpu", "cuda") if device == "cpu" or set(names) & set(CUDA)
    }
    print(*(limit.told() for limit in limits.values()), f"threads {asked.threads}, torch {torch.__version__}", sep="\n")
    kept = {}
    for model in asked.models.split(","):
        with tempfile.TemporaryDirectory() as place:
            weights = exported(WIDTHS[model], Path(place))
            found = measured(Path(place), names, asked)
        print(f"\n{model}: {INPUTS}-{WIDTHS[model]}-{WIDTHS[model]}-1, {weights:,} weights\n")
        show(found, weights, limits, asked.batches)
        kept[model] = found
    if asked.json:
        asked.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
