"""Saturation: one server under full closed-loop load for minutes; every request must be answered well.

usage: python scripts/bench/serving saturation [--contenders boxplat] [--ways asynchronous,batched] [--clients 32]
                                               [--seconds 120] [--model small] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
from pathlib import Path

from contenders import Way
from contenders.every import EVERY
from figures import Figures, measured, memory_mib
from machine import described
from servers import Server, served
from tables import number, table

SAMPLE_SECONDS = 2
HEADS = ("server, API", "clients", "seconds", "requests", "requests/s", "status 400 and above", "connections broken")
MORE = ("later than 10 s", "p50, p99, longest ms", "CPU us a request", "MiB at first, peak, at last")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="serving saturation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contenders", default="boxplat")
    parser.add_argument("--ways", default="asynchronous,batched")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--model", default="small")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    rows, everything = [], []
    for name in asked.contenders.split(","):
        for way in (one for one in EVERY[name].ways if one.name in asked.ways.split(",")):
            with (
                tempfile.TemporaryDirectory() as folder,
                served(EVERY[name], Path(folder), {"BENCH_MODEL": asked.model}) as server,
            ):
                found, memory = _watched(server, way, asked.clients, asked.seconds, Path(folder))
            rows.append(_cells(f"{EVERY[name].told}, {way.name}", asked, found, memory))
            everything.append({"server": name, "api": way.name, **found.told(), "memory_mib": memory})
    print(described() + "\n")
    print("\n".join(table((*HEADS, *MORE), rows)))
    if asked.json:
        asked.json.write_text(json.dumps(everything, indent=1))


def _watched(server: Server, way: Way, clients: int, seconds: int, scratch: Path) -> tuple[Figures, list[float]]:
    """The run, and the server's resident memory every two seconds of it."""
    memory: list[float] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            memory.append(memory_mib(server)["rss"])

    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        found = measured(server, way, clients, seconds, scratch)
    finally:
        ended.set()
        sampling.join()
    return found, memory


def _cells(name: str, asked: argparse.Namespace, found: Figures, memory: list[float]) -> list[str]:
    seen = found.seen
    cells = [name, str(asked.clients), str(asked.seconds), f"{seen.done:,}", number(seen.rate)]
    cells += [str(seen.refused), str(seen.broken), str(seen.late)]
    cells += [", ".join(number(one) for one in (seen.p50, seen.p99, seen.longest)), number(found.cpu_us)]
    return [*cells, ", ".join(number(one) for one in (memory[0], max(memory), memory[-1])) if memory else ""]
