"""What the network can do in its own process, without a server: rows a second at some batch sizes, on one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from contenders import ROW, SERVICES

SIZES = (1, 8, 32, 64)


def limit(model: str, seconds: float, cores: set[int] | None = None) -> dict[int, float]:
    """Rows a second by batch size, measured in a process of its own while nothing else runs."""
    env = {**os.environ, "BENCH_MODEL": model, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SERVICES)}
    pin = [str(Path(__file__).with_name("pinned.py")), ",".join(map(str, sorted(cores)))] if cores else []
    told = subprocess.run(
        [sys.executable, *pin, __file__, str(seconds)], env=env, capture_output=True, text=True, check=True
    ).stdout
    return {int(size): rate for size, rate in json.loads(told).items()}


def _main(seconds: float) -> None:
    import numpy as np
    from network import Network

    network = Network()
    found = {}
    for size in SIZES:
        rows = np.asarray([ROW] * size)
        _rate(network, rows, seconds / 4)
        found[size] = _rate(network, rows, seconds)
    print(json.dumps(found))


def _rate(network: object, rows: object, seconds: float) -> float:
    calls, since = 0, time.perf_counter()
    while time.perf_counter() - since < seconds:
        network(rows)  # type: ignore[operator]
        calls += 1
    return calls * len(rows) / (time.perf_counter() - since)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.path.insert(1, str(SERVICES))
    _main(float(sys.argv[1]))
