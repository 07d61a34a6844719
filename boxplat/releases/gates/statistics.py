"""Differences of metrics with their uncertainty, on rows that both models answered.

Rows of one group (the flights of a day, the visits of a customer) are not independent of each other, so that rows taken
for themselves would promise far too narrow intervals. Groups are the unit of every interval here; where no groups are
known, each row is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boxplat.serving.backends.quality import METRICS
from boxplat.serving.backends.runner import Array

REPEATS = 2000
BINS = 15
GROUPS, ROWS = 10, 5
"""With fewer groups, or rows of either class for an AUC, an interval promises what it cannot keep."""
_CELLS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def signed(self) -> str:
        """For a difference."""
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"

    def as_list(self) -> list[float]:
        """Value, low, high."""
        return [self.value, self.low, self.high]


def numbered(groups: Array) -> tuple[Array, int]:
    """Group numbers from 0 [N], and how many there are."""
    found, numbers = np.unique(groups, return_inverse=True)
    return numbers, len(found)


def shortage(metric: str, labels: Array, groups: Array) -> str:
    """Why nothing can be said of a metric on these rows, in words; empty where something can."""
    count = numbered(groups)[1]
    if count < GROUPS:
        return f"too few rows to tell: {count} independent ones or groups, {GROUPS} are needed"
    least = min(int((labels > 0.5).sum()), int((labels <= 0.5).sum()))
    if metric == "auc" and least < ROWS:
        return f"too few rows to tell: {least} of one class, {ROWS} are needed"
    return ""


def gain(metric: str, labels: Array, new: Array, old: Array, groups: Array, level: float = 0.95) -> Interval:
    """How much better `new` answers are than `old` ones to the same rows; positive is better for every metric.

    AUC: DeLong, DeLong & Clarke-Pearson (1988), with placements computed as in Sun & Xu (2014) and the variance of
    Obuchowski (1997) for grouped rows, which is DeLong's where each row is a group; Student's t. Other metrics: paired
    percentile bootstrap of groups (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007 for groups).

    Args:
        labels: [N]; `new` and `old`: [N] or, for accuracy, [N, C].
        groups: [N], equal where rows are not independent.
    """
    if metric == "auc":
        return _auc_gain(labels, new, old, groups, level)
    sign = 1 if METRICS[metric].higher_is_better else -1
    rows = np.column_stack([np.ones(len(labels)), row_scores(metric, labels, new), row_scores(metric, labels, old)])

    def measure(totals: Array) -> Array:
        pair = (_finish(metric, labels, totals[:, i] / totals[:, 0]) for i in (1, 2))
        fresh, former = pair
        return sign * (fresh - former)

    return bootstrap(_sums(rows, groups), measure, level)


def estimate(metric: str, labels: Array, scores: Array, groups: Array, level: float = 0.95) -> Interval:
    """A metric with its interval, by the same methods as `gain`."""
    if metric == "auc":
        found = _auc_gain(labels, scores, np.zeros(len(labels)), groups, level)
        return Interval(found.value + 0.5, max(0.0, found.low + 0.5), min(1.0, found.high + 0.5))
    rows = np.column_stack([np.ones(len(labels)), row_scores(metric, labels, scores)])
    return bootstrap(_sums(rows, groups), lambda totals: _finish(metric, labels, totals[:, 1] / totals[:, 0]), level)


def row_scores(metric: str, labels: Array, answers: Array) -> Array:
    """What each row adds to a metric that is a mean over rows (of its square, for rmse) [N]."""
    if metric == "accuracy":
        classes = answers.argmax(1) if answers.ndim == 2 else answers > 0.5
        return np.asarray(classes == labels, np.float64)
    return np.asarray((answers - labels) ** 2, np.float64)


def _finish(metric: str, labels: Array, means: Array) -> Array:
    if metric != "rmse":
        return means
    return np.sqrt(means) / (float(labels.std()) or 1.0)


def calibration_error(labels: Array, probabilities: Array, groups: Array, level: float = 0.95) -> Interval:
    """Expected calibration error: mean gap between predicted and observed share over 15 bins of equal count (Naeini et
    al. 2015), with a bootstrap of groups over fixed bins. It is never below the truth by chance as often as above it:
    few rows make it look larger (Roelofs et al. 2022)."""
    bins = np.empty(len(labels), np.int64)
    for number, part in enumerate(np.array_split(np.argsort(probabilities, kind="stable"), BINS)):
        bins[part] = number
    inside = bins[:, None] == np.arange(BINS)
    rows = np.column_stack([inside * (probabilities - labels)[:, None], np.ones(len(labels))])

    def measure(totals: Array) -> Array:
        return np.asarray(np.abs(totals[:, :BINS]).sum(1) / totals[:, BINS])

    return bootstrap(_sums(rows, groups), measure, level)


def bootstrap(sums: Array, measure: Callable[[Array], Array], level: float, seed: int = 0) -> Interval:
    """Percentile interval of a measure of totals [B, K] when the groups' sums [G, K] are drawn with replacement."""
    rng = np.random.default_rng(seed)
    groups = len(sums)
    found = []
    step = max(1, _CELLS // groups)
    for start in range(0, REPEATS, step):
        draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=min(step, REPEATS - start))
        found.append(measure(draws @ sums))
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
    return Interval(float(measure(sums.sum(0)[None])[0]), float(low), float(high))


def _sums(rows: Array, groups: Array) -> Array:
    numbers, count = numbered(groups)
    return np.column_stack([np.bincount(numbers, column, minlength=count) for column in rows.T])


def _auc_gain(labels: Array, new: Array, old: Array, groups: Array, level: float) -> Interval:
    positive = labels > 0.5
    if positive.all() or not positive.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    ours, theirs = placements(positive, new), placements(positive, old)
    parts = ours - theirs
    value = float(parts[positive].mean())
    numbers, count = numbered(groups)
    spread = float(np.sqrt(max(0.0, _variance(positive, parts, value, numbers, count))))
    width = _student(level, count - 1) * spread
    return Interval(value, value - width, value + width)


def placements(positive: Array, scores: Array) -> Array:
    """For each row the share of the rows of the other class that it is ranked rightly against, ties half [N].

    The mean over the positive rows, and that over the negative ones, is the AUC.
    """
    ranks = _midranks(scores)
    found = np.empty(len(scores))
    many, few = int(positive.sum()), int((~positive).sum())
    found[positive] = (ranks[positive] - _midranks(scores[positive])) / few
    found[~positive] = 1 - (ranks[~positive] - _midranks(scores[~positive])) / many
    return found


def _midranks(scores: Array) -> Array:
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[where])


def _variance(positive: Array, parts: Array, value: float, groups: Array, count: int) -> float:
    """Obuchowski (1997): groups' sums of the placements about the estimate, of both classes and between them."""
    total = {True: int(positive.sum()), False: int((~positive).sum())}
    about = {
        side: np.bincount(groups[positive == side], parts[positive == side] - value, minlength=count)
        for side in (True, False)
    }
    having = {side: len(np.unique(groups[positive == side])) for side in (True, False)}
    own = sum(
        having[side] / max(1, having[side] - 1) * float(about[side] @ about[side]) / total[side] ** 2
        for side in (True, False)
    )
    between = count / max(1, count - 1) * float(about[True] @ about[False]) / (total[True] * total[False])
    return own + 2 * between


def _student(level: float, freedom: int) -> float:
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(freedom, 0.5 + level / 2)) if freedom > 0 else float("inf")
