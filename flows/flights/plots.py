"""Figures of the evaluation card."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

SIZE = (5.0, 4.0)
MONTHS = dict(enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1))


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def roc(y: np.ndarray[Any, Any], p: np.ndarray[Any, Any], auc: float) -> Figure:
    """Receiver operating characteristic, thinned to 500 points."""
    order = np.argsort(-p, kind="stable")
    hits, misses = np.cumsum(y[order]), np.cumsum(1 - y[order])
    points = np.linspace(0, len(y) - 1, 500).astype(int)
    figure, axes = _axes(f"ROC, AUC {auc:.4f}", "false positive rate", "true positive rate")
    axes.plot(misses[points] / misses[-1], hits[points] / hits[-1])
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    return figure


def calibration(table: list[dict[str, float]], ece: float) -> Figure:
    """Reliability diagram over equal-count bins."""
    figure, axes = _axes(f"Calibration, ECE {ece:.4f}", "predicted", "observed")
    axes.plot([row["predicted"] for row in table], [row["observed"] for row in table], marker="o")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    return figure


def by_month(months: dict[int, dict[str, float]]) -> Figure:
    """Mean probability beside the observed share, and AUC above each month."""
    figure, axes = _axes("By month", "", "share late or cancelled")
    places = np.arange(len(months))
    axes.bar(places - 0.2, [month["observed"] for month in months.values()], 0.4, label="observed")
    axes.bar(places + 0.2, [month["predicted"] for month in months.values()], 0.4, label="predicted")
    axes.set_xticks(places, [f"{MONTHS[name]}\nAUC {month['auc']:.3f}" for name, month in months.items()])
    axes.legend()
    return figure


def importance(losses: dict[str, float]) -> Figure:
    """Loss of AUC by view, the largest on top."""
    figure, axes = _axes("What matters most", "AUC lost when shuffled", "")
    axes.barh(list(losses)[::-1], list(losses.values())[::-1])
    axes.tick_params(axis="y", labelsize=7)
    return figure
