"""How far apart the scores of two releases are."""

from __future__ import annotations

import numpy as np

from boxplat.releases.comparison.betting import Array

_BINS = 10
# Of an empty bin, so that it weighs much and not without end.
_LEAST = 1e-4


def stability_index(older: Array, newer: Array) -> float:
    """The population stability index of `newer` [M] against `older` [N] over deciles of the latter, less what chance
    alone makes of it; 0 and less: none.

    Two samples of the same scores have an index of about (bins - 1) (1 / N + 1 / M) (B. Yurdakul and J. Naranjo,
    "Statistical properties of the population stability index", Journal of Risk Model Validation 14, 2020).
    """
    cuts = np.quantile(older, np.linspace(0, 1, _BINS + 1)[1:-1])
    # A score that many share is a bin of its own.
    edges = np.unique(np.concatenate([cuts, np.nextafter(cuts, -np.inf)]))
    was, now = (_shares(scores, edges) for scores in (older, newer))
    filled = np.count_nonzero((was > _LEAST) | (now > _LEAST))
    index = float(((now - was) * np.log(now / was)).sum())
    return index - (filled - 1) * (1 / len(older) + 1 / len(newer))


def _shares(scores: Array, edges: Array) -> Array:
    counts = np.bincount(np.searchsorted(edges, scores, side="left"), minlength=len(edges) + 1)
    return np.maximum(counts / len(scores), _LEAST)
