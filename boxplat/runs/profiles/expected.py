"""What a step will use, by its last runs: for claims, estimates and recommendations. Pure but for one query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from boxplat.core.profile import Peaks
from boxplat.core.state import StateStore

# Older code and data say little about the next run. A run that finds its work done says nothing of one that does it.
RUNS = 10
# Peaks of one and the same step differ by a few percent.
HEADROOM = 1.05


@dataclass(frozen=True, slots=True)
class Expected:
    """What a step is expected to use, from `runs` runs and `tasks` attempts.

    `memory`, `resident` and `vram` are bytes with 5 % above the highest peak, to be claimed as they are: `memory` is
    what a task holds itself on this machine, `resident` what it needs in a process of its own. `cores` is the most that
    a task kept busy. `seconds` is the median over runs of the mean wall time of those that succeeded, None when none
    did. `asked` is what the step asked for in the newest run.
    """

    step: str
    memory: int
    resident: int
    vram: int
    gpus: int
    cores: float
    seconds: float | None
    runs: int
    tasks: int
    asked: Mapping[str, float] = field(default_factory=dict)


def expected(state: StateStore, flow_name: str, step: str) -> Expected | None:
    """What the next task of a step will use; None where no run has told yet.

    Args:
        flow_name: the flow's class name.
    """
    return expected_all(state, flow_name).get(step)


def expected_all(state: StateStore, flow_name: str) -> dict[str, Expected]:
    """The same for every step of a flow that has run, by its name."""
    return summarise(state.profiles.peaks(flow_name, RUNS))


def learnt(state: StateStore, flow_name: str) -> dict[str, dict[str, float]]:
    """By step `memory` and `vram` (bytes) and `seconds`, for the flow's process; what is unknown is absent."""
    found = {}
    for step, usual in expected_all(state, flow_name).items():
        facts = {"memory": float(usual.memory), "vram": float(usual.vram), "seconds": usual.seconds}
        found[step] = {name: value for name, value in facts.items() if value}
    return found


def summarise(peaks: Iterable[Peaks]) -> dict[str, Expected]:
    """What runs of one flow say, the newest first, by step."""
    steps: dict[str, list[Peaks]] = {}
    for row in peaks:
        steps.setdefault(row.step, []).append(row)
    return {step: _summary(step, rows) for step, rows in steps.items()}


def _summary(step: str, rows: list[Peaks]) -> Expected:
    # The peak of an attempt that failed was real all the same; its length says nothing.
    took = [row.seconds for row in rows if row.seconds is not None]
    return Expected(
        step=step,
        memory=round(HEADROOM * max(row.memory for row in rows)),
        resident=round(HEADROOM * max(row.resident for row in rows)),
        vram=round(HEADROOM * max(row.vram for row in rows)),
        gpus=max(row.gpus for row in rows),
        cores=max(row.cores for row in rows),
        seconds=median(took) if took else None,
        runs=len(rows),
        tasks=sum(row.attempts for row in rows),
        asked=rows[0].asked,
    )
