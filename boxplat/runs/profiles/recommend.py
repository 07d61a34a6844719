"""What a step should ask for, by what its last runs used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from boxplat.core.state import StateStore
from boxplat.runs.profiles.expected import HEADROOM, Expected, expected_all

_MB = 10**6
# A core that is busy for less of the time than this is noise of the measurement.
_IDLE = 0.25
# Asking for more than this many times what is needed keeps others waiting; a few MB do not.
_TOO_MUCH = 1.5
_LITTLE = 256 * _MB


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What a step should ask for: `cores`, `memory` and `vram` in MB (10^6 bytes, as Metaflow counts), `gpus`.

    `memory` is 5 % above the highest peak of `tasks` attempts in the last `runs` runs; `peak_memory` and `peak_vram`
    (bytes) and `peak_cores` are what was measured. `asked` is what the step asks for, in cores, bytes and devices.
    `line` holds the decorators to write above the step.
    `verdict` is over (it keeps others waiting), under (it takes more than it asked for), fits, or unasked.
    """

    step: str
    line: str
    cores: int
    memory: int
    gpus: float
    vram: int
    peak_cores: float
    peak_memory: int
    peak_vram: int
    asked: Mapping[str, float]
    verdict: str
    why: str
    runs: int
    tasks: int


def recommendations(state: StateStore, flow_name: str) -> dict[str, Recommendation]:
    """By step what it should ask for; only of steps that have run.

    Args:
        flow_name: the flow's class name.
    """
    return {step: recommended(usual) for step, usual in expected_all(state, flow_name).items()}


def recommended(usual: Expected) -> Recommendation:
    """What follows from what a step is expected to use."""
    cores = max(1, math.ceil(usual.cores - _IDLE))
    memory, vram = math.ceil(usual.resident / _MB), math.ceil(usual.vram / _MB)
    gpus = float(usual.gpus) or usual.asked.get("gpus", 0.0)
    peak_memory, peak_vram = round(usual.resident / HEADROOM), round(usual.vram / HEADROOM)
    over = [
        *_over("memory", usual.asked.get("memory", 0), memory * _MB),
        *_over("vram", usual.asked.get("vram", 0), vram * _MB),
        *([f"cpu={usual.asked['cores']:g}, used {usual.cores:.1f}"] if usual.asked.get("cores", 0) > cores else []),
    ]
    under = [*_under("memory", usual.asked, peak_memory), *_under("vram", usual.asked, peak_vram)]
    verdict = "under" if under else "over" if over else "fits" if usual.asked else "unasked"
    return Recommendation(
        step=usual.step,
        line=_line(cores, memory, gpus, vram),
        cores=cores,
        memory=memory,
        gpus=gpus,
        vram=vram,
        peak_cores=usual.cores,
        peak_memory=peak_memory,
        peak_vram=peak_vram,
        asked=usual.asked,
        verdict=verdict,
        why="; ".join(under or over),
        runs=usual.runs,
        tasks=usual.tasks,
    )


def _line(cores: int, memory: int, gpus: float, vram: int) -> str:
    gpu = f", gpu={gpus:g}" if gpus else ""
    return f"@resources(cpu={cores}, memory={memory}{gpu})" + (f" @vram({vram})" if vram else "")


def _over(name: str, asked: float, needed: int) -> list[str]:
    # Where no use was seen at all (no GPU here), nothing is known.
    if not needed or asked <= _TOO_MUCH * needed or asked - needed <= _LITTLE:
        return []
    return [f"{name}={asked / _MB:.0f}, used {needed / HEADROOM / _MB:.0f}"]


def _under(name: str, asked: Mapping[str, float], peak: int) -> list[str]:
    given = asked.get(name, 0)
    return [f"{name}={given / _MB:.0f}, used {peak / _MB:.0f}"] if 0 < given < peak else []
