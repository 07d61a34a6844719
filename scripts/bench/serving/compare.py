"""All servers with one model, in turns: the same question, the same load, one server running at a time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from contenders import Contender, Way
from figures import Figures, measured, memory_mib
from limit import limit
from load import load
from servers import Server, served

ALONE_CLIENTS = 32
LIMIT_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        server_cores, load_cores: where the servers and wrk run; anywhere if None.
    """

    contenders: Sequence[Contender]
    clients: Sequence[int]
    pairs: int
    seconds: int
    ways: Sequence[str]
    server_cores: set[int] | None = None
    load_cores: set[int] | None = None


@dataclass(frozen=True)
class Alone:
    """A server by itself: seconds until it answers, memory in MiB once it has been under load."""

    ready: float
    rss: float
    pss: float


@dataclass
class Compared:
    """The figures of one model.

    Attributes:
        runs: by clients, contender and way, one for each repeat.
        limits: rows a second in process by batch size, one for each repeat.
    """

    model: str
    alone: dict[str, list[Alone]] = field(default_factory=dict)
    runs: dict[tuple[int, str, str], list[Figures]] = field(default_factory=dict)
    limits: list[dict[int, float]] = field(default_factory=list)


def compared(model: str, plan: Plan, scratch: Path, alone: bool) -> Compared:
    """Run the plan with a model; answers are compared before anything is counted."""
    found = Compared(model)
    env = {"BENCH_MODEL": model}
    if alone:
        for _ in range(plan.pairs):
            for contender in plan.contenders:
                found.alone.setdefault(contender.name, []).append(_alone(contender, env, plan, scratch))
    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {}
        for contender in plan.contenders:
            server = stack.enter_context(served(contender, scratch, env, plan.server_cores))
            servers[contender.name] = server
            server.pause()
        asked = [(server, way) for server in servers.values() for way in _ways(server, plan)]
        _check(asked)
        for repeat in range(plan.pairs):
            found.limits.append(limit(model, LIMIT_SECONDS, plan.server_cores))
            for clients in plan.clients:
                # Every other time backwards, so that nobody always comes first.
                for server, way in asked if repeat % 2 == 0 else reversed(asked):
                    one = _run(server, way, clients, plan, scratch)
                    found.runs.setdefault((clients, server.contender.name, way.name), []).append(one)
    return found


def _alone(contender: Contender, env: dict[str, str], plan: Plan, scratch: Path) -> Alone:
    with served(contender, scratch, env, plan.server_cores) as server:
        for way in _ways(server, plan):
            load(server.port, way, ALONE_CLIENTS, 2, scratch, plan.load_cores)
        used = memory_mib(server)
        print(contender.name, "ready after", round(server.ready, 1), used, file=sys.stderr)
        return Alone(server.ready, used["rss"], used["pss"])


def _run(server: Server, way: Way, clients: int, plan: Plan, scratch: Path) -> Figures:
    server.resume()
    try:
        one = measured(server, way, clients, plan.seconds, scratch, plan.load_cores)
    finally:
        server.pause()
    print(clients, server.contender.name, way.name, one, file=sys.stderr)
    return one


def _ways(server: Server, plan: Plan) -> Iterator[Way]:
    server.resume()
    for way in server.contender.ways:
        wanted = not plan.ways or server.contender.name == "echo" or way.name in plan.ways
        if wanted and not (way.optional and server.ask(way)[0] != 200):
            yield way
    server.pause()


def _check(asked: Sequence[tuple[Server, Way]]) -> None:
    """Everybody gives the same numbers; boxplat and BentoML the same bytes."""
    bodies: dict[str, set[bytes]] = {}
    wanted = None
    for server, way in asked:
        server.resume()
        status, body = server.ask(way)
        server.pause()
        told = f"{server.contender.name}, {way.name}: {status} {body[:200]!r}"
        value = way.read(body) if status == 200 else None
        if status != 200 or (server.contender.name == "echo" and value is not None):
            raise SystemExit(f"no answer to compare from {told}")
        if value is None:
            continue
        numbers = np.ravel(value).astype(float)
        wanted = numbers if wanted is None else wanted
        if not np.allclose(numbers, wanted, rtol=1e-5, atol=1e-6):
            raise SystemExit(f"unequal answers: {wanted} and {told}")
        if server.contender.name in ("boxplat", "bentoml") and not way.optional:
            bodies.setdefault(way.name, set()).add(body)
    if unequal := [name for name, found in bodies.items() if len(found) > 1]:
        raise SystemExit(f"unequal bytes from boxplat and BentoML: {unequal}")
