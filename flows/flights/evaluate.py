"""Quality on the test months: ranking, calibration, by month and by slice."""

from __future__ import annotations

from typing import Any

import numpy as np

from flights.dataset import Rows

Array = np.ndarray[Any, Any]
BINS = 15


def calibration(y: Array, p: Array, bins: int = BINS) -> list[dict[str, float]]:
    """Equal-count bins of rising probability: rows, mean probability and observed share in each."""
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return [
        {"rows": float(len(part)), "predicted": float(p[part].mean()), "observed": float(y[part].mean())}
        for part in parts
        if len(part)
    ]


def expected_calibration_error(y: Array, p: Array, bins: int = BINS) -> float:
    """Mean absolute gap between predicted and observed over equal-count bins (Naeini et al., 2015, equal mass)."""
    table = calibration(y, p, bins)
    return sum(row["rows"] * abs(row["predicted"] - row["observed"]) for row in table) / len(y)


def measure(y: Array, p: Array) -> dict[str, float]:
    """AUC, average precision, Brier score, ECE, rows, observed share and mean probability of one set of rows.

    AUC and average precision need both classes: NaN where one is absent.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    both = 0 < y.sum() < len(y)
    return {
        "auc": float(roc_auc_score(y, p)) if both else float("nan"),
        "ap": float(average_precision_score(y, p)) if both else float("nan"),
        "brier": float(np.mean((p - y) ** 2)),
        "ece": expected_calibration_error(y, p),
        "rows": float(len(y)),
        "observed": float(y.mean()),
        "predicted": float(p.mean()),
    }


def report(rows: Rows, p: Array) -> dict[str, Any]:
    """`overall`, `month` (by number) and `origin` (by airport) measures of labelled rows, and the calibration table."""
    y = rows.y.astype(float)
    slices = {"month": rows.month, "origin": rows.category["origin"]}
    return {
        "overall": measure(y, p),
        "calibration": calibration(y, p),
        **{
            name: {value.item(): measure(y[by == value], p[by == value]) for value in np.unique(by)}
            for name, by in slices.items()
        },
    }


def worst_month_auc(result: dict[str, Any]) -> float:
    """The lowest AUC of any month in a `report`."""
    return min(month["auc"] for month in result["month"].values())
