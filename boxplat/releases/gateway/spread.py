"""Which part of the hash space of sticky keys belongs to which release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

TOTAL = 100
Parts = tuple[tuple[int, int], ...]


def spread(weights: Mapping[int, int], before: Sequence[tuple[int, int]] = ()) -> Parts:
    """Give each release its percent of the hundred slots, and as many as possible of those that it had.

    A slot changes hands only where its release has more than it may keep, so exactly half the sum of the absolute
    differences of the weights moves: no less is possible.

    Args:
        weights: percent by release, 100 in all.
        before: the parts of the configuration before; empty or not 100 in all: there was none.

    Returns:
        (release, percent), in the order of the slots.

    Raises:
        ValueError: the weights are not 100 in all.
    """
    if sum(weights.values()) != TOTAL or min(weights.values()) < 0:
        raise ValueError(f"weights must be 100 in all: {dict(weights)}")
    slots = [release for release, percent in before for _ in range(percent)]
    left = dict(weights)
    kept: list[int | None] = []
    for release in slots if len(slots) == TOTAL else [None] * TOTAL:
        stays = release is not None and left.get(release, 0) > 0
        if release is not None and stays:
            left[release] -= 1
        kept.append(release if stays else None)
    free = iter([release for release in sorted(left) for _ in range(left[release])])
    filled = [next(free) if release is None else release for release in kept]
    return tuple((release, len(list(run))) for release, run in groupby(filled))
