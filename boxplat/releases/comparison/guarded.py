"""Which release of an endpoint is under guard, and beside which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boxplat.releases.why.periods import Period


@dataclass(frozen=True, slots=True)
class Guarded:
    """The `newer` release, which has had traffic without a break since `since` (seconds since the epoch), and the
    `older` one beside it (`beside`) or before it."""

    newer: int
    older: int
    beside: bool
    since: float


def guarded(known: Sequence[Period], young: float, now: float) -> Guarded | None:
    """The newest release with traffic, as long as another one has some too or it is younger than `young` seconds.

    None where nothing was live before it: there is nothing to return to.
    """
    weights = _live(known[-1]) if known else {}
    if not weights:
        return None
    newer = max(weights)
    since = next((one.end for one in reversed(known[:-1]) if newer not in _live(one)), None) or known[0].begin
    others = {number: weight for number, weight in weights.items() if number != newer}
    if others:
        return Guarded(newer, max(others, key=lambda number: (others[number], number)), True, since)
    former = next((_live(one) for one in reversed(known) if _live(one).keys() - {newer}), {})
    before = {number: weight for number, weight in former.items() if number < newer}
    if not before or now - since > young:
        return None
    return Guarded(newer, max(before, key=lambda number: (before[number], number)), False, since)


def _live(period: Period) -> dict[int, int]:
    return {number: weight for number, weight in period.weights.items() if weight}
