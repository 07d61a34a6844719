"""Markdown of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from compare import Compared
from contenders.every import EVERY
from figures import Figures

LIMIT_ROWS = 32
HEADS = ("server, API", "requests/s", "times `bentoml serve` at its best", "of echo")
MORE = ("p50 ms", "of echo", "p99 ms", "failed", "CPU us a request", "RSS MiB")


def number(value: float) -> str:
    """Three figures that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """The median, and each value where there are several."""
    each = f" ({', '.join(number(one) for one in values)})" if len(values) > 1 else ""
    return f"{number(statistics.median(values))}{each}"


def table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    heads = list(heads)
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def comparison(found: Compared) -> Iterator[str]:
    """A table for each number of clients, then start and memory."""
    limits = [one[LIMIT_ROWS] for one in found.limits] if found.model == "heavy" else []
    if found.limits:
        sizes = {size: statistics.median(one[size] for one in found.limits) for size in found.limits[0]}
        told = ", ".join(f"{number(rate)} rows/s in batches of {size}" for size, rate in sizes.items())
        yield f"\nIn process, without a server, one thread: {told}.\n"
    for clients in sorted({key[0] for key in found.runs}):
        runs = {key[1:]: value for key, value in found.runs.items() if key[0] == clients}
        yield f"\n### The {found.model} network, clients: {clients}\n"
        heads = [*HEADS, *MORE, *([f"of the limit at {LIMIT_ROWS}"] if limits else [])]
        yield from table(heads, (_cells(key, runs, limits) for key in runs))
    if found.alone:
        yield f"\n### The {found.model} network: start and memory, each server alone, after load\n"
        rows = (
            [EVERY[name].told, *(spread([getattr(one, field) for one in alone]) for field in ("ready", "rss", "pss"))]
            for name, alone in found.alone.items()
        )
        yield from table(("server", "ready after s", "RSS MiB", "PSS MiB"), rows)


def _cells(key: tuple[str, str], runs: dict[tuple[str, str], list[Figures]], limits: Sequence[float]) -> Sequence[str]:
    rates, waits = _rates(runs[key]), _waits(runs[key])
    best = max((_rates(one) for (name, _), one in runs.items() if name == "bentoml"), key=statistics.median, default=[])
    echo = next((one for (name, _), one in runs.items() if name == "echo"), [])
    p99 = statistics.median(one.seen.p99 for one in runs[key])
    cpu, rss = (statistics.median(getattr(one, name) for one in runs[key]) for name in ("cpu_us", "rss"))
    cells = [f"{EVERY[key[0]].told}, {key[1]}", number(statistics.median(rates)), _ratios(rates, best)]
    cells += [_ratios(rates, _rates(echo)), number(statistics.median(waits)), _ratios(waits, _waits(echo)), number(p99)]
    cells += [str(sum(one.seen.failed for one in runs[key])), number(cpu), number(rss)]
    return [*cells, _ratios(rates, limits)] if limits else cells


def _waits(runs: Sequence[Figures]) -> list[float]:
    return [one.seen.p50 for one in runs]


def _rates(runs: Sequence[Figures]) -> list[float]:
    return [one.seen.rate for one in runs]


def _ratios(rates: Sequence[float], base: Sequence[float]) -> str:
    return spread([one / other for one, other in zip(rates, base, strict=True)]) if base and all(base) else ""
