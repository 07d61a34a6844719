"""Measured figures and the Markdown table of them."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHOWN = ("boxplat", "feast", "duckdb", "numpy", "pyarrow", "polars", "pandas", "dask", "redis", "ibis-framework")


@dataclass(frozen=True)
class Row:
    """What one contender did in one case.

    Attributes:
        values: one figure per repeat, in `unit`.
        ratios: per pair of adjacent runs, how many times better boxplat was; empty for boxplat's own rows.
        peak_mb: the highest resident memory of any repeat.
    """

    part: str
    case: str
    contender: str
    values: tuple[float, ...]
    unit: str
    ratios: tuple[float, ...] = ()
    peak_mb: float | None = None
    note: str = ""


def number(value: float) -> str:
    """Three figures that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cells(row: Row) -> tuple[str, ...]:
    ratio = ""
    if row.ratios:
        each = ", ".join(number(one) for one in row.ratios)
        ratio = f"**{number(statistics.median(row.ratios))}** ({each})"
    spread = f"{number(min(row.values))} to {number(max(row.values))}" if len(row.values) > 1 else ""
    peak = f"{row.peak_mb:,.0f}" if row.peak_mb is not None else ""
    return (
        row.case,
        row.contender,
        f"{number(statistics.median(row.values))} {row.unit}",
        spread,
        ratio,
        peak,
        row.note,
    )


def markdown(rows: Iterable[Row], load: str) -> Iterator[str]:
    """The table, part by part, with the machine and the versions it was made on."""
    yield f"Machine: {machine()}; {load}. Python {platform.python_version()}; {', '.join(versions())}."
    part = None
    for row in rows:
        if row.part != part:
            part = row.part
            yield f"\n### {part}\n"
            yield "| case | contender | median | range | times boxplat is better: median (each pair) | peak MB | note |"
            yield "|---|---|---|---|---|---|---|"
        yield "| " + " | ".join(cells(row)) + " |"


def machine() -> str:
    cpu = "CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions() -> Iterator[str]:
    for name in SHOWN:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
