"""Who may start now and who waits, why and how long. Pure: priority classes, first come first served within one, and
EASY backfill (Lifka, "The ANL/IBM SP Scheduling System", 1995): a later claim may pass the first one that is blocked
when that one starts no later for it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from boxplat.core.claims import Capacity, Claim, Lease, Priority, Waiting
from boxplat.runs.space import Space
from boxplat.runs.words import passing, reason

_ORDER = {priority: rank for rank, priority in enumerate(Priority)}
# What takes longer than it was thought to may go on for this share of that time.
_OVERDUE = 0.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a claim now: `devices` is None while it has to wait, `estimate` is seconds since the epoch."""

    waiting: Waiting
    devices: tuple[str, ...] | None
    why: str = ""
    estimate: float | None = None

    @property
    def go(self) -> bool:
        return self.devices is not None


@dataclass(frozen=True, slots=True)
class Held:
    """What is taken, and until when (infinity: nobody knows)."""

    claim: Claim
    devices: tuple[str, ...]
    end: float
    used: int = 0
    vram_used: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """The first blocked claim: when it can start, and what is left beside it then."""

    waiting: Waiting
    start: float
    beside: Space


def order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """In the order in which they are served."""
    return sorted(waiting, key=lambda row: (_ORDER[row.claim.priority], row.position, row.id < 0, abs(row.id)))


def plan(capacity: Capacity, leases: Sequence[Lease], waiting: Sequence[Waiting], now: float) -> list[Verdict]:
    """Decide about every waiting claim.

    Args:
        capacity: the machine.
        leases: what is granted; each with what its processes really use, where that is known.
        waiting: in any order; those with a negative id come after the others of their place.
        now: seconds since the epoch.

    Returns:
        One verdict for each, in the order in which they are served. Those that may go fit all together.
    """
    space = Space(capacity, leases)
    held = [_held(lease, now) for lease in leases]
    first: Reservation | None = None
    verdicts = []
    for row in order(waiting):
        devices = _allowed(row.claim, space, first, now)
        if devices is not None:
            space.take(row.claim, devices)
            held.append(Held(row.claim, devices, _end(row.claim, now, now)))
            verdicts.append(Verdict(row, devices))
            continue
        why = passing(row, first.waiting) if first and space.place(row.claim) is not None else None
        verdicts.append(Verdict(row, None, why or reason(row.claim, capacity, leases, space)))
        first = first or _reserve(row, space, held)
    return _estimated(verdicts, space, held, now)


def _allowed(claim: Claim, space: Space, first: Reservation | None, now: float) -> tuple[str, ...] | None:
    """Where it may start now; what goes on beside the first blocked one is booked there."""
    devices = space.place(claim)
    if devices is None or first is None:
        return devices
    if _end(claim, now, now) <= first.start < math.inf:
        return devices
    beside = space.within(first.beside).place(claim)
    if beside is not None:
        first.beside.take(claim, beside)
    return beside


def _reserve(row: Waiting, space: Space, held: Sequence[Held]) -> Reservation | None:
    """When the claim can start at the latest; None where nothing that ends would make room for it."""
    later = space.copy()
    for other in _by_end(held):
        later.give(other.claim, other.devices, other.used, other.vram_used)
        devices = later.place(row.claim)
        if devices is not None:
            later.take(row.claim, devices)
            return Reservation(row, other.end, later)
    return None


def _by_end(held: Iterable[Held]) -> list[Held]:
    """The next to end first; of those that nobody knows of, what serves the last."""
    return sorted(held, key=lambda one: (one.end, one.claim.priority is Priority.SERVING))


def _held(lease: Lease, now: float) -> Held:
    # A clock that was set back must not make a lease last longer.
    return Held(lease.claim, lease.devices, _end(lease.claim, min(lease.since, now), now), lease.used, lease.vram_used)


def _end(claim: Claim, start: float, now: float) -> float:
    if claim.expected_seconds is None:
        return math.inf
    return max(start + claim.expected_seconds, now + (0 if start == now else _OVERDUE * claim.expected_seconds))


def _estimated(verdicts: list[Verdict], space: Space, held: Sequence[Held], now: float) -> list[Verdict]:
    """When those that wait would start if none of them passed another."""
    if all(verdict.go for verdict in verdicts):
        return verdicts
    later = space.copy()
    ends = [(one.end, number, one) for number, one in enumerate(held)]
    heapq.heapify(ends)
    at = now
    known = []
    for verdict in verdicts:
        if verdict.go:
            known.append(verdict)
            continue
        claim = verdict.waiting.claim
        devices = later.place(claim)
        while devices is None and ends and ends[0][0] < math.inf:
            at, _, ended = heapq.heappop(ends)
            later.give(ended.claim, ended.devices, ended.used, ended.vram_used)
            devices = later.place(claim)
        if devices is not None:
            later.take(claim, devices)
            end = Held(claim, devices, math.inf if claim.expected_seconds is None else at + claim.expected_seconds)
            heapq.heappush(ends, (end.end, len(held) + len(known), end))
        known.append(Verdict(verdict.waiting, None, verdict.why, None if devices is None else at))
    return known
