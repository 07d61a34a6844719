"""What a model must reach before it may be called champion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flights.evaluate import worst_month_auc

MIN_AUC = 0.770
MAX_BRIER = 0.137
MAX_ECE = 0.02
MIN_MONTH_AUC = 0.72
MAX_MONTH_GAP = 0.04
MAX_BEHIND_BASELINE = 0.005


@dataclass(frozen=True)
class Gate:
    """One bar: the `value` must be at least (or at most) `bar`. Not a number never passes."""

    name: str
    value: float
    bar: float
    at_least: bool

    @property
    def passed(self) -> bool:
        """Whether the value clears the bar."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{'pass' if self.passed else 'FAIL'}  {self.name}: {self.value:.4f} {sign} {self.bar:.4f}"


def judge(result: dict[str, Any], baseline_auc: float | None = None) -> list[Gate]:
    """The gates of one `evaluate.report`; the last one only where a baseline was trained."""
    overall = result["overall"]
    gap = max(abs(month["predicted"] - month["observed"]) for month in result["month"].values())
    gates = [
        Gate("auc", overall["auc"], MIN_AUC, True),
        Gate("brier", overall["brier"], MAX_BRIER, False),
        Gate("ece", overall["ece"], MAX_ECE, False),
        Gate("worst month auc", worst_month_auc(result), MIN_MONTH_AUC, True),
        Gate("worst month |mean score - truth|", gap, MAX_MONTH_GAP, False),
    ]
    if baseline_auc is not None:
        gates.append(Gate("auc against HistGB", overall["auc"], baseline_auc - MAX_BEHIND_BASELINE, True))
    return gates
