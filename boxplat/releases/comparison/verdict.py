"""What a test says: better, worse, equal within a margin, or not decided yet and about how much is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from boxplat.releases.comparison.betting import Array, Wealth, bets, path
from boxplat.releases.comparison.units import Units

# Beyond this nobody will wait for it.
_MOST_UNITS = 10**9
# Of the test that units are divided as the traffic is.
_IMBALANCE = 0.001


class Verdict(StrEnum):
    """About the newer release."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "equal"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Effect:
    """The newer release's mean loss less the older one's, in units of the loss; None where no unit has one.

    `low` and `high` bound it at the declared level at all times together. `first` is the number of units after which it
    was first known not to be 0: that holds, also where the difference has shrunk since. `missing` is about how many
    more it takes to decide, None where that is hopeless. `against` is the evidence that it is above 0: it ever exceeds
    1 / a with probability a at most where it is not.
    """

    units: int
    estimate: float | None
    low: float
    high: float
    verdict: Verdict
    first: int | None
    missing: int | None
    older_loss: float | None
    newer_loss: float | None
    against: float


def effect(units: Units, level: float, margin: float, bound: float) -> Effect:
    """What the labelled units say.

    Args:
        level: of both sides together.
        margin: in units of the loss.
        bound: the loss whose share is 1.
    """
    increments, weights = units.increments()
    chosen = bets(margin / bound)
    wealth = Wealth.of(increments, weights, chosen)
    low, high = (side * bound for side in wealth.interval(level))
    reached = _reached(increments, chosen, level)
    found = _verdict(low, high, margin, reached)
    older, newer = (None if mean is None else mean * bound for mean in units.means())
    return Effect(
        units=wealth.count,
        estimate=wealth.effect * bound if wealth.weight else None,
        low=low,
        high=high,
        verdict=found,
        first=reached.get(found),
        missing=_missing(wealth, level, margin / bound) if found is Verdict.UNDECIDED else None,
        older_loss=older,
        newer_loss=newer,
        against=evidence(wealth.above()),
    )


def evidence(logarithm: float) -> float:
    """An e-value from its logarithm, as large as a float can be."""
    return math.exp(min(logarithm, 700.0))


def _verdict(low: float, high: float, margin: float, reached: Mapping[Verdict, int]) -> Verdict:
    """What the interval says now; where that is nothing, what was last shown."""
    if high < 0:
        return Verdict.BETTER
    if low > 0:
        return Verdict.WORSE
    if -margin < low and high < margin:
        return Verdict.EQUAL
    return max(reached, key=reached.__getitem__, default=Verdict.UNDECIDED)


def _reached(increments: Array, chosen: Array, level: float) -> dict[Verdict, int]:
    """After how many units each side was first shown: with a probability of at most `level` a wrong one ever is."""
    sides = {Verdict.BETTER: -increments, Verdict.WORSE: increments}
    passed = {side: path(signed, chosen) >= math.log(2 / level) for side, signed in sides.items()}
    return {side: 1 + int(np.argmax(ever)) for side, ever in passed.items() if ever.any()}


def _missing(wealth: Wealth, level: float, margin: float) -> int | None:
    """If things go on as they went: until the difference is known, or until it is known to be within the margin."""
    if not wealth.weight:
        return None
    per_unit, variance = wealth.weight / wealth.count, wealth.squares / wealth.count
    gaps = [abs(wealth.effect), margin - abs(wealth.effect)]
    needed = [_units(gap * per_unit, variance, wealth.bets, level) for gap in gaps if gap > 0]
    least = min(needed, default=_MOST_UNITS)
    return None if least >= _MOST_UNITS else max(1, least - wealth.count)


def _units(drift: float, variance: float, chosen: Array, level: float) -> int:
    """Units until increments with this mean and mean square pass the threshold (log(1 + x) taken as x - x^2 / 2)."""
    growth = chosen * drift - np.square(chosen) * variance / 2
    low, high = 1, _MOST_UNITS
    while low < high:
        middle = (low + high) // 2
        logs = growth * middle
        top = float(logs.max())
        if top + math.log(float(np.exp(logs - top).mean())) >= math.log(2 / level):
            high = middle
        else:
            low = middle + 1
    return low


def imbalance(units: Units) -> float | None:
    """The share of units at the newer release, where it is surely not the one that the traffic had; else None."""
    wealth = Wealth.of(units.newer - units.share, np.ones(len(units.share)), bets())
    if max(wealth.above(), wealth.below()) < math.log(2 / _IMBALANCE):
        return None
    return float(units.newer.mean())
