"""When two releases were beside each other, and with which probability a request went to which."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from boxplat.releases.why.periods import Period

# From a change in the state until the gateway has surely taken it; who comes between counts nowhere.
LAG_SECONDS = 5.0

# Begin and end, seconds since the epoch, and the share of the newer release.
Span = tuple[float, float, float]


def pair(found: Sequence[Period]) -> tuple[int, int] | None:
    """The two releases that were last beside each other: of those with traffic or a shadow the newest, and of the
    others the one with most of the traffic."""
    for period in reversed(found):
        weights = {number: weight for number, weight in period.weights.items() if weight}
        there = {*weights} | ({period.shadow} if period.shadow else set())
        if len(there) > 1:
            newer = max(there)
            return max(there - {newer}, key=lambda number: (weights.get(number, 0), number)), newer
    return None


def share(period: Period, older: int, newer: int) -> float:
    """The probability that a request went to `newer`, among those that went to one of the two; 0 where none did."""
    total = period.weights.get(older, 0) + period.weights.get(newer, 0)
    return period.weights.get(newer, 0) / total if total else 0.0


def shadowed(period: Period, older: int, newer: int) -> bool:
    """Whether one of the two answered for the other one's requests, unseen."""
    return any(period.shadow == one and period.weights.get(other) for one, other in ((older, newer), (newer, older)))


def beside(found: Iterable[Period], older: int, newer: int, shadow: bool = False) -> list[Span]:
    """When both had traffic, or when one was the other's shadow.

    A change that changed nothing for the two begins nothing new; others count from when the gateway has surely taken
    them.
    """
    counted = [one for one in found if _counts(one, older, newer, shadow)]
    return list(_joined([_span(one, 0.0 if shadow else share(one, older, newer)) for one in counted]))


def _counts(period: Period, older: int, newer: int, shadow: bool) -> bool:
    return shadowed(period, older, newer) if shadow else 0.0 < share(period, older, newer) < 1.0


def _span(period: Period, probability: float) -> Span:
    return period.begin, math.inf if period.end is None else period.end, probability


def _joined(spans: Sequence[Span]) -> Iterator[Span]:
    for probability, group in itertools.groupby(spans, key=lambda one: one[2]):
        first, *rest = group
        begin, end = first[:2]
        for low, high, _ in rest:
            if low != end:
                yield begin + LAG_SECONDS, end, probability
                begin = low
            end = high
        yield begin + LAG_SECONDS, end, probability
