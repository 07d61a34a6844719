"""The line of runs: which queued run may start now, and what each other one waits for.

The supervisor and `box queue` read it here, so what is shown is what happens.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from boxplat.core.claims import Capacity, Claim, Holdings, Lease, Priority, Waiting
from boxplat.core.model import Run, RunState
from boxplat.runs import requests
from boxplat.runs.plan import Verdict, plan
from boxplat.runs.words import never

_DOWN = "the box is not running   (start it: box up --detach)"


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a queued run may start now, else why not; `estimate` is seconds since the epoch, where it is known."""

    run: Run
    go: bool
    why: str = ""
    estimate: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One row of `box queue`: what has a lease, or waits for one.

    `state` is running, waiting (a task at the gate), starting, between (two steps), queued or held. `since` and
    `estimate` are seconds since the epoch; `run` is None for a service. `used` and `vram_used` are what a lease has of
    memory and on its devices now (bytes).
    """

    owner: str
    run: int | None
    state: str
    priority: Priority
    claim: Claim
    since: float
    why: str = ""
    estimate: float | None = None
    devices: tuple[str, ...] = ()
    used: int = 0
    vram_used: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """`box queue`: the machine, and everything that has some of it or waits for some, at one moment."""

    at: float
    capacity: Capacity
    places: tuple[Place, ...]


def turns(active: Sequence[Run], holdings: Holdings, most: int, spawned: Collection[int] = ()) -> list[Turn]:
    """What becomes of each queued run.

    Args:
        active: the runs that are not over, in line.
        most: runs at once.
        spawned: queued runs whose launcher has been started already; they are no more waited for.
    """
    queued = [run for run in active if run.state is RunState.QUEUED and run.id not in spawned]
    under_way = len(active) - len(queued)
    told = _planned(queued, _beginning(active, holdings, spawned), holdings)
    found = []
    for run in queued:
        verdict = told.get(run.id)
        if run.held:
            found.append(Turn(run, False, f"held   (go on: box queue release {run.id})"))
        elif verdict is not None and not verdict.go:
            found.append(Turn(run, False, verdict.why, verdict.estimate))
        elif under_way >= most:
            found.append(Turn(run, False, f"{under_way} runs are under way, the most at once   ([run] max_runs)"))
        else:
            under_way += 1
            found.append(Turn(run, True))
    return found


def _beginning(active: Iterable[Run], holdings: Holdings, spawned: Collection[int]) -> list[Run]:
    """Runs whose launcher is on its way to its first task: they will claim what they were admitted for."""
    owners = [lease.owner for lease in holdings.leases] + [row.owner for row in holdings.waiting]
    there = {_run_of(owner) for owner in owners}
    return [
        run
        for run in active
        if run.id not in there and (run.id in spawned or (run.state is RunState.RUNNING and run.pathspec is None))
    ]


def _planned(queued: Sequence[Run], beginning: Sequence[Run], holdings: Holdings) -> dict[int, Verdict]:
    capacity = holdings.capacity
    pending = [_pending(run, capacity) for run in (*beginning, *queued) if not run.held]
    # What no longer fits at all need not wait: its first task is refused, and says why.
    possible = [row for row in pending if not never(capacity, row.claim)]
    verdicts = plan(capacity, holdings.leases, [*holdings.waiting, *possible], time.time())
    return {-verdict.waiting.id: verdict for verdict in verdicts if verdict.waiting.id < 0}


def _pending(run: Run, capacity: Capacity) -> Waiting:
    """The claim of its first task, which that cuts to the machine as well."""
    claim = requests.within(first_claim(run), _first(run).get("asked", {}), capacity)
    return Waiting(-run.id, f"run/{run.id}", claim, run.created, 0, run.position)


def first_claim(run: Run) -> Claim:
    """What the first step of a queued run will claim, as far as it was known when the run was queued."""
    first = _first(run)
    return requests.claim(first.get("asked", {}), first.get("learnt", {}), Priority(run.priority))


def _first(run: Run) -> dict[str, Any]:
    return run.options.get("first") or {}


def line(active: Sequence[Run], holdings: Holdings, most: int, up: bool) -> Line:
    """Everything that `box queue` shows.

    Args:
        active: the runs that are not over, in line.
        most: runs at once.
        up: whether the box runs; otherwise no run is started.
    """
    rows = places(active, holdings, most)
    if not up:
        rows = [replace(row, why=_DOWN, estimate=None) if row.state == "queued" else row for row in rows]
    return Line(time.time(), holdings.capacity, tuple(rows))


def places(active: Sequence[Run], holdings: Holdings, most: int) -> list[Place]:
    """What runs, what waits at the gate, and the queued runs in line."""
    by_run = {run.id: run for run in active}
    waiting = [_waiting(row) for row in holdings.waiting]
    rows = [_running(lease, by_run) for lease in holdings.leases] + waiting
    rows += [_beginning_row(run) for run in _beginning(active, holdings, ())]
    shown = {row.run for row in rows}
    rows += [_at_rest(run) for run in active if run.state is RunState.RUNNING and run.id not in shown]
    return rows + [_queued(turn) for turn in turns(active, holdings, most)]


def _run_of(owner: str) -> int | None:
    kind, _, rest = owner.partition("/")
    number = rest.partition("/")[0]
    return int(number) if kind == "run" and number.isdecimal() else None


def _running(lease: Lease, runs: dict[int, Run]) -> Place:
    number = _run_of(lease.owner)
    run = runs.get(number) if number is not None else None
    return Place(
        owner=lease.owner,
        run=number,
        state="running",
        priority=lease.claim.priority,
        claim=lease.claim,
        since=lease.since,
        why="its run is held from its next step on" if run is not None and run.held else "",
        estimate=None if lease.claim.expected_seconds is None else lease.since + lease.claim.expected_seconds,
        devices=lease.devices,
        used=lease.used,
        vram_used=lease.vram_used,
    )


def _waiting(row: Waiting) -> Place:
    return Place(
        row.owner, _run_of(row.owner), "waiting", row.claim.priority, row.claim, row.since, row.why, row.estimate
    )


def _of_run(run: Run, state: str, since: float, why: str = "", estimate: float | None = None) -> Place:
    return Place(f"run/{run.id}", run.id, state, Priority(run.priority), first_claim(run), since, why, estimate)


def _beginning_row(run: Run) -> Place:
    return _of_run(run, "starting", run.started or run.created)


def _at_rest(run: Run) -> Place:
    """A run without a lease for the moment."""
    if run.held:
        return _of_run(run, "held", run.started or run.created, f"held   (go on: box queue release {run.id})")
    return replace(_of_run(run, "between", run.started or run.created, "is between two steps"), claim=Claim(0.0))


def _queued(turn: Turn) -> Place:
    state = "held" if turn.run.held else "queued"
    return _of_run(turn.run, state, turn.run.created, turn.why or "starts now", turn.estimate)
