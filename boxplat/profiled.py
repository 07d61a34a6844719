"""What runs used, and what that cost, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from boxplat.render import clock, duration, size, table

if TYPE_CHECKING:
    from boxplat.runs.profiles.report import Bill, StepUse

_MB = 10**6
_VERDICTS = {"over": "asks for too much", "under": "asks for too little"}


def use(rows: Iterable[StepUse], currency: str) -> str:
    """A run's steps: used of asked, and below the decorators that would fit."""
    steps = list(rows)
    gpu = any(row.vram or row.gpu_seconds or row.asked.get("gpus") for row in steps)
    heads = ("STEP", "ATTEMPTS", "LONGEST", "MEMORY", "CORES", "CPU", "READ", "WRITTEN", "ENERGY", "COST")
    lines = [_line(row, currency) + (_gpu(row) if gpu else ()) for row in steps]
    text = table((*heads, "VRAM", "GPU") if gpu else heads, lines)
    return "\n".join([text, *_advice(steps)])


def _line(row: StepUse, currency: str) -> tuple[object, ...]:
    asked = row.asked
    memory = f"{row.memory / _MB:.0f}" + (f" of {asked['memory'] / _MB:.0f} MB" if asked.get("memory") else " MB")
    cores = f"{row.cores:.1f}" + (f" of {asked['cores']:g}" if asked.get("cores") else "")
    return (
        row.step,
        row.attempts,
        duration(row.seconds),
        memory,
        cores,
        duration(row.cpu_seconds),
        size(row.read_bytes),
        size(row.write_bytes),
        energy(row.joules / 3.6e6),
        money(row.cost, currency) if row.cost else None,
    )


def _gpu(row: StepUse) -> tuple[object, ...]:
    vram = f"{row.vram / _MB:.0f}" + (f" of {row.asked['vram'] / _MB:.0f} MB" if row.asked.get("vram") else " MB")
    return vram, duration(row.gpu_seconds)


def _advice(steps: Iterable[StepUse]) -> list[str]:
    lines = []
    for row in steps:
        found = row.recommended
        if found is None or found.verdict == "fits":
            continue
        why = f"   ({_VERDICTS[found.verdict]}: {found.why})" if found.verdict in _VERDICTS else ""
        lines.append(f"  {row.step}: {found.line}{why}")
    return ["", "would fit, by the last runs:", *lines] if lines else []


def bill(found: Bill) -> str:
    """Costs by run or flow, and their sum."""
    if not found.rows:
        return f"no run since {clock(found.since)}"
    amounts = [(row.key, row.flow, row.runs, row.cost, row.total) for row in found.rows]
    amounts.append(("all", "", sum(row.runs for row in found.rows), found.cost, found.total))
    by_run = found.by == "run"
    text = table(
        (*(("RUN", "FLOW") if by_run else ("FLOW",)), "RUNS", "CORE h", "GiB h", "GPU h", "ENERGY", "COST"),
        [
            (
                *((key, flow) if by_run else (key,)),
                runs,
                f"{cost.core_hours:.3f}",
                f"{cost.memory_gib_hours:.3f}",
                f"{cost.gpu_hours:.3f}",
                energy(cost.kwh),
                money(total, found.currency),
            )
            for key, flow, runs, cost, total in amounts
        ],
    )
    return text if found.priced else f"{text}\nno rates are set: core_hour, gpu_hour, kwh… in [rates] of boxplat.toml"


def energy(kwh: float) -> str:
    return f"{kwh:.2f} kWh" if kwh >= 1 else f"{kwh * 1000:.2g} Wh"


def money(amount: float, currency: str) -> str:
    """An amount, with more digits where it is small."""
    return f"< 0.0001 {currency}" if 0 < amount < 0.0001 else f"{amount:.{2 if amount >= 1 else 4}f} {currency}"
