"""One run of one server under load: what wrk saw, and what the server's processes took."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from contenders import Way
from load import Found, load
from servers import Server

WARM_SECONDS = 1


@dataclass(frozen=True)
class Figures:
    """One run.

    Attributes:
        cpu_us: processor time of all the server's processes for each answer, microseconds.
        rss: their resident memory, MiB.
        answered: every answer, those before the count began included.
    """

    seen: Found
    cpu_us: float
    rss: float
    answered: int

    def told(self) -> dict[str, Any]:
        return {**asdict(self.seen), "cpu_us": self.cpu_us, "rss_mib": self.rss}


def measured(
    server: Server, way: Way, clients: int, seconds: int, scratch: Path, cores: set[int] | None = None
) -> Figures:
    """One run, after a warm-up."""
    warm = load(server.port, way, clients, WARM_SECONDS, scratch, cores)
    # Answered after what the warm-up left behind.
    server.ask(way)
    before = cpu_seconds(server)
    found = load(server.port, way, clients, seconds, scratch, cores)
    spent = cpu_seconds(server) - before
    answered = warm.done + 1 + found.done
    return Figures(found, 1e6 * spent / max(found.done, 1), memory_mib(server)["rss"], answered)


def cpu_seconds(server: Server) -> float:
    return _sum(server, lambda one: sum(one.cpu_times()[:2]))


def memory_mib(server: Server) -> dict[str, float]:
    """Resident (`rss`) and proportional (`pss`) memory of all its processes."""
    rss = _sum(server, lambda one: one.memory_info().rss)
    pss = _sum(server, lambda one: one.memory_full_info().pss)
    return {"rss": rss / 2**20, "pss": pss / 2**20}


def _sum(server: Server, figure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for member in server.tree():
        with contextlib.suppress(psutil.NoSuchProcess):
            total += figure(member)
    return total
