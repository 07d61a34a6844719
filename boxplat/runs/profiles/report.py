"""What a run used beside what it asked for, and what runs cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boxplat.core.config import RatesConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run
from boxplat.core.profile import Profile
from boxplat.core.state import StateStore
from boxplat.runs.profiles.cost import Cost, cost, price
from boxplat.runs.profiles.recommend import Recommendation, recommendations
from boxplat.serving.log.asking import moment

BY = ("run", "flow")


@dataclass(frozen=True, slots=True)
class StepUse:
    """What the attempts at one step's tasks used: the peaks of any, the sums of all. Sizes in bytes, energy in joules.

    `seconds` is of the slowest, `cost` in the currency of the rates. `recommended` comes from the last runs.
    """

    step: str
    attempts: int
    seconds: float
    memory: int
    vram: int
    cores: float
    cpu_seconds: float
    gpu_seconds: float
    read_bytes: int
    write_bytes: int
    joules: float
    cost: float
    asked: Mapping[str, float]
    recommended: Recommendation | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run, or all runs of a flow, cost. `key` is the run's number or the flow's name."""

    key: str
    flow: str
    runs: int
    cost: Cost
    total: float


@dataclass(frozen=True, slots=True)
class Bill:
    """Costs since a time (seconds since the epoch), dearest first. `priced` is False where no rate is set."""

    since: float
    by: str
    currency: str
    priced: bool
    rows: tuple[Spent, ...]
    cost: Cost
    total: float


def use(state: StateStore, run: Run, rates: RatesConfig) -> tuple[StepUse, ...]:
    """What a run used by step, in the order in which the steps began."""
    steps: dict[str, list[Profile]] = {}
    for profile in state.profiles.of(run.id):
        steps.setdefault(profile.step, []).append(profile)
    known = recommendations(state, run.name) if steps else {}
    return tuple(_step(step, rows, rates, known.get(step)) for step, rows in steps.items())


def bill(state: StateStore, rates: RatesConfig, since: str, by: str) -> Bill:
    """What was spent on runs.

    Args:
        since: `30m`, `7d`, or an ISO time: attempts that began then or later count.
        by: run or flow.

    Raises:
        BoxError: no such time or grouping (exit code 2).
    """
    if by not in BY:
        raise BoxError(
            f"costs cannot be shown by {by!r}",
            why=f"they are known by {' and by '.join(BY)}",
            fix="box cost --by flow",
            code=ExitCode.USAGE,
        )
    begin = moment(since).timestamp()
    groups: dict[tuple[str, str], list[Cost]] = {}
    for used in state.profiles.since(begin):
        key = str(used.run_id) if by == "run" else used.flow
        groups.setdefault((key, used.flow), []).append(price(used, rates))
    rows = [_spent(key, flow, costs) for (key, flow), costs in groups.items()]
    whole = sum((row.cost for row in rows), Cost())
    rows.sort(key=lambda row: (row.total, row.cost.core_hours), reverse=True)
    priced = any((rates.core_hour, rates.memory_gib_hour, rates.gpu_hour, rates.kwh))
    return Bill(begin, by, rates.currency, priced, tuple(rows), whole, whole.total)


def _step(step: str, rows: list[Profile], rates: RatesConfig, known: Recommendation | None) -> StepUse:
    return StepUse(
        step=step,
        attempts=len(rows),
        seconds=max(row.seconds for row in rows),
        memory=max(row.resident for row in rows),
        vram=max(row.vram for row in rows),
        cores=max(row.cores for row in rows),
        cpu_seconds=sum(row.cpu_seconds for row in rows),
        gpu_seconds=sum(row.gpu_seconds for row in rows),
        read_bytes=sum(row.read_bytes for row in rows),
        write_bytes=sum(row.write_bytes for row in rows),
        joules=sum(row.cpu_joules + row.gpu_joules for row in rows),
        cost=sum(cost(row, rates).total for row in rows),
        asked=rows[-1].asked,
        recommended=known,
    )


def _spent(key: str, flow: str, costs: Sequence[Cost]) -> Spent:
    """One row of a bill: `costs` has one entry for each run."""
    whole = sum(costs, Cost())
    return Spent(key, flow, len(costs), whole, whole.total)
