"""Waiting between tries."""

from __future__ import annotations

import itertools
import random

from boxplat.core.backoff import MOST_FAILURES, MOST_SECONDS, STEADY_SECONDS, Backoff


def test_waits_grow_to_a_bound_and_then_it_gives_up() -> None:
    backoff = Backoff(rng=random.Random(1))
    waits, now = [], 0.0
    for _ in range(MOST_FAILURES):
        going = backoff.failed(now)
        waits.append(backoff.retry_at - now)
        now = backoff.retry_at
    assert not going
    assert all(later > earlier for earlier, later in itertools.pairwise(waits))
    assert max(waits) <= MOST_SECONDS * 1.2


def test_a_steady_life_clears_the_count_and_a_short_one_does_not() -> None:
    backoff = Backoff()
    for _ in range(3):
        backoff.failed(0.0)
    backoff.healthy(10.0)
    backoff.failed(10.0 + STEADY_SECONDS - 1)
    assert backoff.failures == 4
    backoff.healthy(100.0)
    backoff.failed(100.0 + STEADY_SECONDS)
    assert backoff.failures == 1
