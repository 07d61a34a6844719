"""What needs a person, and the command that mends it. Pure: a snapshot in, advice out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from boxplat.core.model import Run, RunState, Snapshot, State
from boxplat_tui.glyphs import Cell


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know, and what to type about it."""

    headline: Cell
    command: str


def attention(snapshot: Snapshot, first_flow: str = "flows/ingest.py") -> tuple[Advice, ...]:
    """The most urgent first; a single line of advice on what to do next where nothing is wrong.

    Args:
        first_flow: the file to run in a box where nothing has run yet.
    """
    troubles = (*_supervisor(snapshot), *_services(snapshot), *_runs(snapshot))
    return troubles or tuple(_next(snapshot, first_flow))


def _supervisor(snapshot: Snapshot) -> Iterator[Advice]:
    if snapshot.supervisor is None:
        yield Advice(Cell("○ the box is not running", "warn"), "box up --detach")


def _services(snapshot: Snapshot) -> Iterator[Advice]:
    for service in snapshot.services:
        why = f": {service.reason}" if service.reason else ""
        if service.state is State.FAILED:
            yield Advice(Cell(f"✗ {service.name} failed{why}", "bad"), f"box logs {service.name}")
        elif service.state is State.UNHEALTHY:
            yield Advice(Cell(f"▲ {service.name} is unhealthy{why}", "warn"), f"box logs {service.name}")


def _runs(snapshot: Snapshot) -> Iterator[Advice]:
    for run in _latest(snapshot):
        if run.state is RunState.FAILED:
            why = f": {run.error.strip().splitlines()[-1]}" if run.error and run.error.strip() else ""
            yield Advice(Cell(f"✗ run {run.id} of {run.name} failed{why}", "bad"), f"box logs {run.id}")


def _latest(snapshot: Snapshot) -> list[Run]:
    """The newest run of each flow; an old failure that a later run made good needs nobody."""
    newest: dict[str, Run] = {}
    for run in snapshot.runs:
        newest.setdefault(run.flow, run)
    return list(newest.values())


def _next(snapshot: Snapshot, first_flow: str) -> Iterator[Advice]:
    idle = [endpoint for endpoint in snapshot.endpoints if not endpoint.releases]
    if not snapshot.runs:
        yield Advice(Cell("→ nothing has run yet", "accent"), f"box run {first_flow} --wait")
    elif idle and any(run.state is RunState.SUCCEEDED for run in snapshot.runs):
        yield Advice(Cell(f"→ endpoint {idle[0].name} has no release yet", "accent"), f"box deploy {idle[0].name}")
    else:
        yield Advice(Cell("✓ all is well", "ok"), "")
