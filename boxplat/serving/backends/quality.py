"""How good answers are: the metrics that a faster back end must keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.serving.backends.runner import Array


@dataclass(frozen=True)
class Metric:
    """`measure`: labels [N] and answers [N] or [N, C] to a number; `limit`: how much worse it may become."""

    measure: Callable[[Array, Array], float]
    higher_is_better: bool
    limit: float

    def loss(self, reference: float, found: float) -> float:
        """How much worse `found` is; negative where it is better."""
        return reference - found if self.higher_is_better else found - reference


def auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve from the rank sum (Mann and Whitney, 1947); ties count half; NaN with one class only."""
    positive = labels > 0.5
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return float("nan")
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return float((ranks[positive].sum() - many * (many + 1) / 2) / (many * few))


def brier(labels: Array, probabilities: Array) -> float:
    """Mean squared error of probabilities (Brier, 1950)."""
    return float(np.mean((probabilities - labels) ** 2))


def accuracy(labels: Array, answers: Array) -> float:
    """Share of rows whose class is right: the largest of [N, C], or 1 above one half of [N]."""
    classes = answers.argmax(1) if answers.ndim == 2 else answers > 0.5
    return float(np.mean(classes == labels))


def rmse(labels: Array, answers: Array) -> float:
    """Root mean squared error, in units of the labels' standard deviation (of one unit, where they are all equal)."""
    return float(np.sqrt(np.mean((answers - labels) ** 2)) / (float(labels.std()) or 1.0))


METRICS = {
    "auc": Metric(auc, True, 0.001),
    "brier": Metric(brier, False, 0.0005),
    "accuracy": Metric(accuracy, True, 0.002),
    "rmse": Metric(rmse, False, 0.002),
}


def known(name: str) -> str:
    """The same name, where there is such a metric.

    Raises:
        BoxError: there is none (exit code 2).
    """
    if name not in METRICS:
        raise BoxError(
            f"no metric {name!r}",
            why=f"known: {', '.join(METRICS)}",
            fix="box models calibrate NAME --metric auc",
            code=ExitCode.USAGE,
        )
    return name


def fitting(labels: Array, outputs: Sequence[Array], wanted: str | None) -> tuple[str, ...]:
    """The metrics to keep: the one that is wanted, else those that fit the labels and the model's first output.

    Raises:
        BoxError: there is no such metric (exit code 2).
    """
    if wanted is not None:
        return (known(wanted),)
    answers = scores(outputs)
    if answers.ndim == 2:
        return ("accuracy",)
    if not np.isin(labels, (0, 1)).all():
        return ("rmse",)
    probabilities = bool(((answers >= 0) & (answers <= 1)).all())
    return ("auc", "brier") if probabilities else ("auc",)


def scores(outputs: Sequence[Array]) -> Array:
    """The first output as one number for each row [N], or as one for each class [N, C > 2]."""
    answers = np.asarray(outputs[0], np.float64).reshape(len(outputs[0]), -1)
    if answers.shape[1] == 1:
        return answers[:, 0]
    return answers[:, 1] if answers.shape[1] == 2 else answers
