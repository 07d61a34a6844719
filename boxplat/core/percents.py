"""Whole percents of an endpoint's requests."""

from __future__ import annotations

from collections.abc import Mapping


def shared(weights: Mapping[int, int], whole: int) -> dict[int, int]:
    """`whole` percent divided in proportion to `weights`, in whole numbers that add up to it (largest remainders)."""
    total = sum(weights.values())
    if not total or not whole:
        return {}
    exact = {number: whole * weight / total for number, weight in weights.items()}
    shares = {number: int(share) for number, share in exact.items()}
    # What rounding leaves goes to those that lost most by it.
    left = whole - sum(shares.values())
    for number in sorted(exact, key=lambda one: shares[one] - exact[one])[:left]:
        shares[number] += 1
    return {number: share for number, share in shares.items() if share}


def given(weights: Mapping[int, int], number: int, percent: int) -> dict[int, int]:
    """The weights after `number` got so many percent of 100; the others keep their shares of the rest.

    Where nobody else has any, it keeps all.
    """
    others = shared({one: weight for one, weight in weights.items() if one != number}, 100 - percent)
    own = 100 - sum(others.values())
    return {**others, number: own} if own else others
