"""The sequential test: never more errors than it says, whatever happens; and its interval is what its evidence says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.releases.comparison.betting import Wealth, bets, path
from boxplat.releases.comparison.increments import paired, split


def test_increments_of_a_split_have_the_mean_of_the_effect() -> None:
    """By hand over both ways that each unit can go: p (1 - p) times the difference, for any share and any loss."""
    older, newer, share = np.array([0.2, 0.9, 0.5]), np.array([0.1, 0.9, 0.8]), np.array([0.1, 0.5, 0.9])
    mean = np.zeros(3)
    for ways in range(8):
        went = np.array([bool(ways >> i & 1) for i in range(3)])
        chance = np.where(went, share, 1 - share).prod()
        mean += chance * split(went, share, np.where(went, newer, older))[0]
    np.testing.assert_allclose(mean, share * (1 - share) * (newer - older), atol=1e-12)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.floats(0, 1)), max_size=50))
def test_nobody_can_lose_everything(units: list[tuple[bool, float, float]]) -> None:
    """Also at losses of 0 and 1 and shares of 0 and 1 the logarithms are finite, and the interval is one."""
    newer, share, losses = (np.array([unit[i] for unit in units]) for i in range(3))
    increments, weights = split(newer.astype(bool), share.astype(float), losses.astype(float))
    wealth = Wealth.of(increments, weights, bets(0.01))
    low, high = wealth.interval(0.05)
    assert np.isfinite(wealth.up).all() and np.isfinite(wealth.down).all()
    assert -1 <= low <= 1 and -1 <= high <= 1


def test_the_interval_is_where_the_evidence_is_not() -> None:
    """Its ends, found by bisection, are where the evidence for a mean beyond them reaches 2 / level."""
    rng = np.random.default_rng(1)
    went = rng.random(5000) < 0.3
    wealth = Wealth.of(*split(went, np.full(5000, 0.3), rng.beta(2, 5, 5000) + 0.1 * went), bets(0.005))
    low, high = wealth.interval(0.05)
    assert wealth.above(low) == pytest.approx(math.log(40), abs=1e-6)
    assert wealth.below(high) == pytest.approx(math.log(40), abs=1e-6)
    assert low < 0.1 < high and 0 < low


def test_the_path_ends_where_the_wealth_is() -> None:
    """Over several chunks too."""
    rng = np.random.default_rng(2)
    increments = rng.uniform(-0.5, 0.6, 140_000)
    wealth = Wealth.of(increments, np.ones(len(increments)), bets(0.01))
    assert path(increments, bets(0.01))[-1] == pytest.approx(wealth.above())


def test_peeking_at_each_unit_is_wrong_no_more_often_than_stated() -> None:
    """300 experiments of 2,000 units without any difference, 90 to 10, then half and half, losses that drift, looked at
    after each unit: a test for a fixed number of units would be wrong in a third of them."""
    rng = np.random.default_rng(3)
    count, chosen, wrong, naive = 2000, bets(0.005), 0, 0
    share = np.where(np.arange(count) < 1200, 0.1, 0.5)
    drift = 0.1 + 0.3 * np.sin(np.arange(count) / 300) ** 2
    for _ in range(300):
        losses = (rng.random(count) < drift).astype(float)
        increments, _ = split(rng.random(count) < share, share, losses)
        best = np.maximum(path(increments, chosen), path(-increments, chosen)).max()
        wrong += best >= math.log(2 / 0.05)
        sums, squares = increments.cumsum()[50:], np.square(increments).cumsum()[50:]
        naive += bool((np.abs(sums) > 1.96 * np.sqrt(squares)).any())
    assert wrong <= 0.05 * 300
    assert naive > 0.2 * 300


def test_a_changing_split_is_no_difference() -> None:
    """While losses rise the newer release gets more traffic: the plain means differ, the releases do not."""
    rng = np.random.default_rng(4)
    share = np.repeat([0.1, 0.5], 10_000)
    went = rng.random(20_000) < share
    losses = (rng.random(20_000) < np.repeat([0.1, 0.4], 10_000)).astype(float)
    assert losses[went].mean() - losses[~went].mean() > 0.1
    low, high = Wealth.of(*split(went, share, losses), bets(0.005)).interval(0.05)
    assert low < 0 < high < 0.05


def test_pairs_need_far_fewer_units_than_a_split() -> None:
    """What both answered differs by less than what two units do."""
    rng = np.random.default_rng(5)
    base = rng.beta(2, 5, 4000)
    shadow = Wealth.of(*paired(base, np.clip(base + rng.normal(0.01, 0.02, 4000), 0, 1)), bets(0.005))
    assert shadow.interval(0.05)[0] > 0.005
