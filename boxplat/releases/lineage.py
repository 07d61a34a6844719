"""What was live before: read from the changes that moved an endpoint's traffic."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from boxplat.core.state.changes import Change, Weights

_BACK = ("rollback", "return")


def live_before(history: Sequence[Change], failed: Collection[int] = ()) -> Weights | None:
    """The weights that a rollback returns to; None: nothing else was ever live.

    A rollback undoes the coming of the newest release that has requests now: however many splits it went through, what
    is returned to is what was live before it got its first request. What was rolled back from does not count as having
    been live before, so that a second rollback goes further back instead of forth.

    Args:
        history: the changes that moved the traffic, the oldest first.
        failed: releases that must not serve; what had any of them is passed over.
    """
    lived = _lineage(history)
    if not lived:
        return None
    start = max(_came(lived, number) for number in lived[-1])
    for weights in reversed(lived[:start]):
        if weights and not weights.keys() & set(failed):
            return weights
    return None


def was_live(history: Sequence[Change], number: int) -> bool:
    """Whether a release ever got requests whose answers somebody saw."""
    return any(change.weights.get(number) for change in history)


def _lineage(history: Sequence[Change]) -> list[Weights]:
    """The sets of weights one after the other, without what was rolled back."""
    lived: list[Weights] = []
    for change in history:
        if change.kind in _BACK and change.weights in lived:
            del lived[len(lived) - lived[::-1].index(change.weights) :]
        elif change.weights and (not lived or lived[-1] != change.weights):
            lived.append(change.weights)
    return lived


def _came(lived: Sequence[Weights], number: int) -> int:
    """Since when, without a break, a release has had requests: an index into `lived`."""
    start = len(lived)
    while start > 0 and number in lived[start - 1]:
        start -= 1
    return start
