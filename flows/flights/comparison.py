"""Several trained models side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flights import baseline
from flights.dataset import TEST, Rows
from flights.evaluate import report
from flights.fit import Recipe, fit, predict


@dataclass(frozen=True)
class Trial:
    """One model: its `evaluate.report` on the test months and the seconds that its training took."""

    name: str
    report: dict[str, Any]
    seconds: float


def torch_trial(rows: Rows, seed: int) -> Trial:
    """The torch model of one seed, stopped early on August."""
    started = time.perf_counter()
    fitted = fit(rows, Recipe(seed=seed))
    seconds = time.perf_counter() - started
    test = rows.months(TEST)
    return Trial(f"torch seed {seed}", report(test, predict(fitted.net, fitted.preparation.matrix(test))), seconds)


def histgb_trial(rows: Rows) -> Trial:
    """HistGradientBoosting on January to August."""
    started = time.perf_counter()
    test = rows.months(TEST)
    probabilities = baseline.fit_predict(rows, test)
    return Trial("HistGB", report(test, probabilities), time.perf_counter() - started)


def mean(trials: Sequence[Trial]) -> Trial:
    """The mean of every figure over trials, overall and by month."""

    def average(parts: Sequence[dict[str, float]]) -> dict[str, float]:
        return {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}

    reports = [trial.report for trial in trials]
    months = {month: average([one["month"][month] for one in reports]) for month in reports[0]["month"]}
    overall = average([one["overall"] for one in reports])
    seconds = sum(trial.seconds for trial in trials) / len(trials)
    return Trial(f"torch mean of {len(trials)}", {"overall": overall, "month": months}, seconds)


def table(trials: Sequence[Trial]) -> str:
    """Text: AUC, AP, Brier, ECE, AUC by month and seconds, one line per trial."""
    months = list(trials[0].report["month"])
    head = f"{'model':16}{'AUC':>8}{'AP':>8}{'Brier':>8}{'ECE':>8}" + "".join(f"{f'AUC {m}':>8}" for m in months)
    lines = [head + f"{'train s':>9}"]
    for trial in trials:
        values = [trial.report["overall"][name] for name in ("auc", "ap", "brier", "ece")]
        values += [trial.report["month"][month]["auc"] for month in months]
        lines.append(f"{trial.name:16}" + "".join(f"{value:8.4f}" for value in values) + f"{trial.seconds:9.1f}")
    return "\n".join(lines)
