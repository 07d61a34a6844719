"""Overload: a service of known capacity, asked at its capacity and at ten times it, and at half of it a second later.

usage: python scripts/bench/serving overload [--contenders boxplat,bentoml] [--seconds 10] [--times 10] [--pace-ms 20]
                                             [--batch 8] [--deadline-ms 500] [--computes] [--json FILE]

The service takes `--pace-ms` for each batch of up to `--batch` requests and has a latency limit of `--deadline-ms`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop
from contenders import SERVICES, plain
from contenders.every import EVERY
from figures import memory_mib
from load import load
from machine import described
from openloop import Load, Sent
from servers import Server, served
from tables import number, table

CALM_SECONDS = 4
SAMPLE_SECONDS = 0.25
CAPACITY_CLIENTS = 8  # for each place in a batch
HEADS = ("server", "load", "asked/s", "200/s", "429", "503", "other", "200: p50, p99, longest ms", "since sent")
MORE = (
    "200 beyond the limit",
    "429: p50, p99, longest ms",
    "since sent",
    "MiB before, peak, after",
    "sent late by, p99 ms",
)


@dataclass(frozen=True)
class Phase:
    """One load and what came of it; memory in MiB, sampled meanwhile."""

    name: str
    seconds: float
    sent: Sent
    memory: list[float]

    def times(self, status: int) -> list[float]:
        """Milliseconds from when a request was meant to leave to its answer of this status, sorted."""
        return sorted(1000 * took for found, took, _ in self.sent.answers if found == status)

    def since_left(self, status: int) -> list[float]:
        """The same from when it left: what the server is answerable for where the load came late."""
        return sorted(1000 * took for found, _, took in self.sent.answers if found == status)

    def counts(self) -> Counter[int]:
        return Counter(status for status, _, _ in self.sent.answers)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="serving overload", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contenders", default="boxplat,bentoml")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--times", type=float, default=10, help="of the measured capacity")
    parser.add_argument("--pace-ms", type=float, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--deadline-ms", type=int, default=500)
    parser.add_argument("--computes", action="store_true", help="a batch keeps a core busy (it sleeps)")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    env = {"BENCH_PACE_MS": str(asked.pace_ms), "BENCH_BATCH": str(asked.batch)}
    env |= {"BENCH_LATENCY_MS": str(asked.deadline_ms), "BENCH_COMPUTES": str(int(asked.computes))}
    rows, verdicts, everything = [], [], {}
    for name in asked.contenders.split(","):
        contender = EVERY[name]
        command = tuple(part.replace("service:Mlp", "service:Paced") for part in contender.command)
        contender = replace(contender, command=command, folder=SERVICES / "paced", ways=(plain("batched"),))
        with tempfile.TemporaryDirectory() as folder, served(contender, Path(folder), env) as server:
            capacity = load(server.port, contender.ways[0], CAPACITY_CLIENTS * asked.batch, 5, Path(folder)).rate
            phases = uvloop.run(driven(server, capacity, asked))
        rows += [_cells(contender.told, phase, asked.deadline_ms) for phase in phases]
        verdicts.append(
            f"- {contender.told}: capacity {number(capacity)}/s; {verdict(phases, capacity, asked.deadline_ms)}"
        )
        everything[name] = {"capacity": capacity, "phases": [_told(phase) for phase in phases]}
    kind = "computes" if asked.computes else "sleeps"
    print(described())
    print(f"A batch of up to {asked.batch} {kind} {number(asked.pace_ms)} ms; latency limit {asked.deadline_ms} ms.\n")
    print("\n".join(table((*HEADS, *MORE), rows)))
    print("\n" + "\n".join(verdicts))
    if asked.json:
        asked.json.write_text(json.dumps(everything, indent=1))


async def driven(server: Server, capacity: float, asked: argparse.Namespace) -> list[Phase]:
    """Half, whole, `times` the capacity, then after one second half again."""
    way = server.contender.ways[0]
    pool = Load(server.port, way)
    phases = []
    plan = [("half before", 0.5, CALM_SECONDS), ("capacity", 1.0, asked.seconds)]
    plan += [(f"{number(asked.times)} times", asked.times, asked.seconds), ("half, 1 s after", 0.5, CALM_SECONDS)]
    for name, times, seconds in plan:
        if name == plan[-1][0]:
            # What is still on its way to the overloaded server goes with its connections, as clients that give up do.
            pool.close()
            pool = Load(server.port, way)
            await asyncio.sleep(1)
        memory = [memory_mib(server)["rss"]]
        sampling = asyncio.get_running_loop().create_task(_sampled(server, memory))
        sent = await pool.phase(times * capacity, seconds)
        sampling.cancel()
        memory.append(memory_mib(server)["rss"])
        phases.append(Phase(name, seconds, sent, memory))
    pool.close()
    return phases


async def _sampled(server: Server, memory: list[float]) -> None:
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        memory.append((await asyncio.to_thread(memory_mib, server))["rss"])


def verdict(phases: Sequence[Phase], capacity: float, deadline_ms: float) -> str:
    """Whether the server stays within its limit and is normal again, in words."""
    before, over, after = phases[0], phases[-2], phases[-1]
    late = sum(took > deadline_ms for took in over.since_left(200))
    rest = over.counts() - Counter({200: over.counts()[200], 429: over.counts()[429]})
    good = over.counts()[200] / over.seconds / capacity
    failed = len(after.sent.answers) - after.counts()[200]
    slower = percentile(after.times(200), 99) / max(percentile(before.times(200), 99), 1e-9)
    return (
        f"over capacity it answers {number(100 * good)} % of its capacity, {late} of them beyond the limit, "
        f"{rest.total()} requests got neither 200 nor 429, {over.sent.retry_after} a Retry-After; "
        f"a second later {failed} fail and p99 is {number(slower)} times that before"
    )


def percentile(ordered: Sequence[float], part: float) -> float:
    """By nearest rank; not a number where there is nothing."""
    return ordered[min(int(len(ordered) * part / 100), len(ordered) - 1)] if ordered else float("nan")


def _cells(name: str, phase: Phase, deadline_ms: float) -> list[str]:
    counts = phase.counts()
    other = counts.total() - counts[200] - counts[429] - counts[503]
    cells = [name, phase.name, number(phase.sent.offered / phase.seconds), number(counts[200] / phase.seconds)]
    cells += [f"{counts[429]:,}", f"{counts[503]:,}", f"{other:,}"]
    cells += [_three(phase.times(200)), _three(phase.since_left(200))]
    cells += [str(sum(took > deadline_ms for took in phase.since_left(200)))]
    cells += [_three(phase.times(429)), _three(phase.since_left(429))]
    cells += [", ".join(number(one) for one in (phase.memory[0], max(phase.memory), phase.memory[-1]))]
    return [*cells, number(1000 * percentile(sorted(phase.sent.lateness), 99))]


def _three(ordered: Sequence[float]) -> str:
    return ", ".join(number(percentile(ordered, part)) for part in (50, 99, 100)) if ordered else ""


def _told(phase: Phase) -> dict[str, Any]:
    def seen(times: Sequence[float]) -> Iterator[tuple[str, float]]:
        yield from ((f"p{part}", percentile(times, part)) for part in (50, 90, 99, 99.9, 100))

    counts = phase.counts()
    lateness = statistics.mean(phase.sent.lateness) if phase.sent.lateness else None
    return {
        "load": phase.name,
        "seconds": phase.seconds,
        "offered": phase.sent.offered,
        "statuses": dict(counts),
        "times_ms": {status: dict(seen(phase.times(status))) for status in counts if status > 0},
        "times_ms_since_sent": {status: dict(seen(phase.since_left(status))) for status in counts if status > 0},
        "retry_after": phase.sent.retry_after,
        "rss_mib": phase.memory,
        "mean_lateness_s": lateness,
    }
