"""Intervals of gains: equal to the textbook's where there is one, and as sure as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.releases.gates.statistics import calibration_error, estimate, gain, placements
from boxplat.serving.backends.quality import METRICS, auc


def pairwise(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """DeLong's psi for every pair [positives, negatives], by the definition."""
    up, down = scores[positive][:, None], scores[~positive][None, :]
    return np.where(up > down, 1.0, np.where(up == down, 0.5, 0.0))


def delong(positive: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Difference of AUCs and its variance as in DeLong et al. (1988), equations 4 to 6."""
    first, second = pairwise(positive, one), pairwise(positive, other)
    rows = np.stack([first.mean(1), second.mean(1)]), np.stack([first.mean(0), second.mean(0)])
    covariance = np.cov(rows[0]) / positive.sum() + np.cov(rows[1]) / (~positive).sum()
    return float(first.mean() - second.mean()), float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6)), min_size=6, max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
def test_placements_are_the_pairs_means_with_ties(rows: list[tuple[bool, int, int]]) -> None:
    positive, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
    if positive.all() or not positive.any():
        return
    found = placements(positive, scores)
    assert np.allclose(found[positive], pairwise(positive, scores).mean(1))
    assert np.allclose(found[~positive], pairwise(positive, scores).mean(0))
    assert found[positive].mean() == pytest.approx(auc(positive.astype(float), scores))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
def test_single_rows_as_groups_are_delongs_test(rows: list[tuple[bool, int, int]]) -> None:
    positive = np.array([row[0] for row in rows])
    one, other = (np.array([row[i] for row in rows], float) for i in (1, 2))
    if min(positive.sum(), (~positive).sum()) < 2:
        return
    value, variance = delong(positive, one, other)
    found = gain("auc", positive.astype(float), one, other, np.arange(len(rows)))
    from scipy.stats import t

    assert found.value == pytest.approx(value)
    assert found.high - found.value == pytest.approx(t.ppf(0.975, len(rows) - 1) * max(variance, 0) ** 0.5, abs=1e-9)


def days(rng: np.random.Generator, count: int, rows: int) -> tuple[np.ndarray, ...]:
    """Labels, two scores and days; on each day both models share a mood and one of them has a worse one."""
    group = np.repeat(np.arange(count), rows)
    labels = (rng.random(count * rows) < 0.4).astype(float)
    mood = rng.normal(0, 1.0, count)[group]
    base = labels + rng.normal(0, 1, len(labels))
    return labels, base + mood, base + rng.normal(0, 1.0, count)[group], group


@pytest.mark.parametrize("metric", ["auc", "brier"])
def test_intervals_of_grouped_rows_cover_as_often_as_they_say(metric: str) -> None:
    """Both models are equally good, so the interval must hold 0 in 95 % of the samples; rows alone promise too much."""
    rng = np.random.default_rng(11)
    inside = {"groups": 0, "rows": 0}
    repeats = 300 if metric == "auc" else 150
    for _ in range(repeats):
        labels, one, other, group = days(rng, 40, 12)
        if metric == "brier":
            one, other = 1 / (1 + np.exp(-one)), 1 / (1 + np.exp(-other))
        for name, groups in (("groups", group), ("rows", np.arange(len(labels)))):
            found = gain(metric, labels, one, other, groups)
            inside[name] += found.low <= 0 <= found.high
    assert inside["groups"] >= 0.91 * repeats
    assert inside["rows"] < inside["groups"] - 5


@pytest.mark.parametrize("metric", METRICS)
def test_a_gain_is_positive_where_the_new_answers_are_better(metric: str) -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(600) < 0.5).astype(float)
    good, poor = (np.clip(labels * s + (1 - s) / 2 + rng.normal(0, 0.1, 600), 0, 1) for s in (0.6, 0.1))
    groups = np.arange(600)
    found = gain(metric, labels, good, poor, groups)
    back = gain(metric, labels, poor, good, groups)
    assert found.low > 0 and back.high < 0
    assert found.value == pytest.approx(-back.value)
    exact = METRICS[metric].loss(METRICS[metric].measure(labels, poor), METRICS[metric].measure(labels, good))
    assert found.value == pytest.approx(-exact)
    own = estimate(metric, labels, good, groups)
    assert own.low <= own.value <= own.high
    assert own.value == pytest.approx(METRICS[metric].measure(labels, good))


def test_a_constant_answer_has_no_area_and_one_class_no_auc() -> None:
    labels, groups = np.array([0.0, 1, 0, 1]), np.arange(4)
    assert estimate("auc", labels, np.full(4, 0.3), groups).value == 0.5
    assert np.isnan(gain("auc", np.ones(4), np.arange(4.0), np.zeros(4), groups).value)


def test_calibration_error_is_the_gap_that_was_put_in() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(30_000)
    labels = (rng.random(30_000) < truth).astype(float)
    honest, shifted = (calibration_error(labels, p, np.arange(30_000)) for p in (truth, np.clip(truth + 0.1, 0, 1.1)))
    assert honest.value < 0.02
    assert shifted.low < 0.1 < shifted.high and shifted.value == pytest.approx(0.1, abs=0.01)
