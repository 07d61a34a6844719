"""Which settings of `bentoml serve` and LitServe answer most: what the comparison's own were chosen by.

usage: python scripts/bench/serving tune [--contenders bentoml,litserve] [--model small] [--clients 32] [--seconds 3]

Each combination runs in a server of its own. Only answers of status 200 count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from contenders import plain
from contenders.bentoml import BENTOML
from contenders.litserve import LITSERVE
from figures import measured
from machine import described
from servers import served
from tables import number, table

SIZES = ("16", "64")
LATENCIES_MS = ("20", "100", "1000", "10000")
WINDOWS_MS = ("0", "1", "5")


@dataclass(frozen=True)
class Setting:
    told: str
    env: dict[str, str]


def bentoml() -> Iterator[Setting]:
    for size, latency in product(SIZES, LATENCIES_MS):
        told = f"max_batch_size {size}, max_latency_ms {latency}"
        yield Setting(told, {"BENCH_BATCH": size, "BENCH_LATENCY_MS": latency})


def litserve() -> Iterator[Setting]:
    for size, window, queue in product(SIZES, WINDOWS_MS, ("", "fast")):
        told = f"max_batch_size {size}, batch_timeout {window} ms{', fast_queue' if queue else ''}"
        yield Setting(told, {"BENCH_BATCH": size, "BENCH_WINDOW_MS": window, "BENCH_QUEUE": queue})


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="serving tune", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contenders", default="bentoml,litserve")
    parser.add_argument("--model", default="small")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=3)
    asked = parser.parse_args(arguments)
    plan = [(BENTOML, one, way) for one in bentoml() for way in (plain("batched"), plain("batched_asynchronous"))]
    plan += [(LITSERVE, one, LITSERVE.ways[0]) for one in litserve()]
    rows = []
    plan = [one for one in plan if one[0].name in asked.contenders.split(",")]
    for contender, setting, way in plan:
        env = setting.env | {"BENCH_MODEL": asked.model}
        with tempfile.TemporaryDirectory() as folder, served(contender, Path(folder), env) as server:
            found = measured(server, way, asked.clients, asked.seconds, Path(folder))
        cells = [f"{contender.told}, {way.name}", setting.told, number(found.seen.rate), str(found.seen.failed)]
        rows.append([*cells, number(found.seen.p50), number(found.seen.p99), number(found.cpu_us)])
        print(rows[-1], file=sys.stderr)
    print(described() + "\n")
    print("\n".join(table(("server, API", "settings", "200/s", "failed", "p50 ms", "p99 ms", "CPU us"), rows)))
