"""The sequential test: a mixture of bets against a mean, valid however often and whenever it is looked at.

Increments S_i come with predictable weights w_i and conditional means w_i d_i. For a fixed bet b > 0 and any number t
the expression

    prod_{i<=t} (1 + b S_i) * exp(-b sum_{i<=t} w_i x)

starts at 1 and does not grow in expectation as long as the weighted running mean of the effects d_i is at most x,
because 1 + b w_i d_i <= exp(b w_i d_i). So does an average of it over bets. By Ville's inequality it ever passes 1/a
with probability a at most, whatever the effects do over time; the x for which it has not passed 1/a are a confidence
sequence for the running mean.

Sources: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2023), for
betting; S. R. Howard, A. Ramdas, J. McAuliffe and J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
sequences", Annals of Statistics 49 (2021), for running means that vary, and mixtures; docs/comparison.md has the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The largest bet: increments reach from -1 to 1, and nobody may lose everything.
_MOST = 0.95
# From one bet to the next smaller one. Closer ones gain nothing (docs/decisions/0011).
_RATIO = 1.5
_LEAST = 1e-4
_CHUNK = 1 << 16
# A sum of weights that no unit with a choice has.
_NOTHING = 1e-9


def bets(margin: float = 0.0) -> Array:
    """The bets of a mixture for effects that are not far below `margin`, largest first, all alike in weight."""
    least = min(max(2.0 * margin, _LEAST), _MOST)
    count = 1 + int(np.ceil(np.log(_MOST / least) / np.log(_RATIO)))
    return _MOST * _RATIO ** -np.arange(count, dtype=float)


@dataclass(frozen=True)
class Wealth:
    """What the bets have become after increments, in both directions.

    Attributes:
        bets: [K].
        up, down: logarithm of the product of 1 + b S_i, and of 1 - b S_i, for each bet [K].
        weight: sum of w_i.
        total, squares: sum of S_i, and of its squares.
        count: of increments.
        least, most: the lowest and highest possible mean effect.
    """

    bets: Array
    up: Array
    down: Array
    weight: float
    total: float
    squares: float
    count: int

    @classmethod
    def of(cls, increments: Array, weights: Array, bets: Array) -> Wealth:
        """Of increments [N] from -1 to 1 and weights [N] of 0 and more."""
        up, down = np.zeros(len(bets)), np.zeros(len(bets))
        for i in range(0, len(increments), _CHUNK):
            part = np.multiply.outer(bets, increments[i : i + _CHUNK])
            up += np.log1p(part).sum(axis=1)
            down += np.log1p(-part).sum(axis=1)
        sums = float(weights.sum()), float(increments.sum()), float(np.square(increments).sum())
        return cls(bets, up, down, *sums, len(increments))

    def above(self, effect: float = 0.0) -> float:
        """Logarithm of the evidence that the mean effect is above `effect`."""
        return _mean(self.up - self.bets * effect * self.weight)

    def below(self, effect: float = 0.0) -> float:
        """Logarithm of the evidence that the mean effect is below `effect`."""
        return _mean(self.down + self.bets * effect * self.weight)

    @cached_property
    def effect(self) -> float:
        """The estimate of the mean effect; NaN without data."""
        return self.total / self.weight if self.weight else float("nan")

    def interval(self, level: float) -> tuple[float, float]:
        """The mean effects that are not refuted at `level` (both sides together), within -1 and 1."""
        if self.weight < _NOTHING:
            return -1.0, 1.0
        needed = np.log(2.0 / level)
        low = _crossing(self.up - needed, self.bets * self.weight)
        high = -_crossing(self.down - needed, self.bets * self.weight)
        return max(low, -1.0), min(high, 1.0)


def _mean(logs: Array) -> float:
    """Logarithm of the mean of exponentials, with no overflow."""
    top = float(logs.max())
    return top + float(np.log(np.exp(logs - top).mean()))


def _crossing(logs: Array, slopes: Array) -> float:
    """The x at which the mean of exp(logs - slopes x) is 1; it falls in x."""
    points = logs / slopes
    # Where the largest term alone is 1, and where it is as many times that as there are terms.
    low, high = float(((logs - np.log(len(logs))) / slopes).max()), float(points.max())
    for _ in range(60):
        middle = (low + high) / 2
        if _mean(logs - slopes * middle) >= 0:
            low = middle
        else:
            high = middle
    return low


def path(increments: Array, bets: Array) -> Array:
    """Logarithm of the evidence [N] for a positive mean effect after each increment [N]."""
    wealth = np.zeros(len(bets))
    found = np.empty(len(increments))
    for i in range(0, len(increments), _CHUNK):
        part = np.log1p(np.multiply.outer(increments[i : i + _CHUNK], bets)).cumsum(axis=0) + wealth
        top = part.max(axis=1)
        found[i : i + _CHUNK] = top + np.log(np.exp(part - top[:, None]).mean(axis=1))
        wealth = part[-1]
    return found
