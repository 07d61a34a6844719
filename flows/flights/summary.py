"""The evaluation in short: scalars for the run, and the parts of its card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from flights import importance, plots
from flights.dataset import Rows
from flights.evaluate import worst_month_auc
from flights.package import Packaged


def scalars(report: dict[str, Any]) -> dict[str, float]:
    """`auc`, `ap`, `brier`, `ece` on the test months and `worst_month_auc`, from an `evaluate.report`."""
    return {name: report["overall"][name] for name in ("auc", "ap", "brier", "ece")} | {
        "worst_month_auc": worst_month_auc(report)
    }


def card(
    report: dict[str, Any], gates: Iterable[str], model: Packaged, test: Rows, probabilities: np.ndarray[Any, Any]
) -> list[Any]:
    """Components of a Metaflow card: gates, the four figures, slices by month and origin."""
    from metaflow.cards import Image, Markdown, Table

    overall = report["overall"]
    figures = (
        plots.roc(test.y, probabilities, overall["auc"]),
        plots.calibration(report["calibration"], overall["ece"]),
        plots.by_month(report["month"]),
        plots.importance(importance.by_view(model, test)),
    )
    columns = ("auc", "ap", "brier", "ece", "rows", "observed", "predicted")
    slices = [
        [str(name), *(f"{row[column]:.4g}" for column in columns)]
        for by in ("month", "origin")
        for name, row in report[by].items()
    ]
    return [
        Markdown("# Will this flight be late?\nTest months September to December 2013, features as known at T-60."),
        Markdown("## Gates\n" + "\n".join(f"- {gate}" for gate in gates)),
        *map(Image.from_matplotlib, figures),
        Markdown("## Slices"),
        Table(slices, headers=["slice", *columns]),
    ]
