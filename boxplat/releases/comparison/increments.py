"""From losses of units to increments of the test, for splits and for shadows.

A unit (a request, or all requests of a key that always goes to the same release) goes to the newer release with a
known probability p, whatever its loss will be. With D = 1 there and 0 elsewhere, and any m that is known before,

    S = (D - p) (loss - m)

has the mean p (1 - p) d, where d is the unit's loss with the newer release less that with the older: nothing is assumed
of the units themselves, which may change from hour to hour, nor of p, which may too. The sum of S over that of
p (1 - p) estimates the mean effect with overlap weights (F. Li, K. L. Morgan and A. M. Zaslavsky, "Balancing covariates
via propensity score weighting", JASA 113, 2018); units that could go one way only count nothing. S lies between -1 and
1 if losses lie between 0 and 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boxplat.releases.comparison.betting import Array

# What the mean loss is taken for before there is any.
_GUESS = 0.25


def split(newer: NDArray[np.bool_], share: Array, losses: Array) -> tuple[Array, Array]:
    """Increments [N] and weights [N] of units that went to one of two releases.

    Args:
        newer: whether the unit went to the newer release [N].
        share: the probability of that [N].
        losses: from 0 to 1 [N], in the order in which they became known.
    """
    return (newer - share) * (losses - _before(losses)), share * (1.0 - share)


def paired(older: Array, newer: Array) -> tuple[Array, Array]:
    """Increments [N] and weights [N] of units that both releases answered; losses from 0 to 1."""
    return newer - older, np.ones(len(newer))


def _before(losses: Array) -> Array:
    """The mean of the losses before each [N]."""
    sums = np.concatenate([[_GUESS], _GUESS + np.cumsum(losses)[:-1]]) if len(losses) else np.empty(0)
    return sums / np.arange(1, len(losses) + 1)
