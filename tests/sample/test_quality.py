"""Figures and gates."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from flights import evaluate, gates


def test_calibration_error_by_hand() -> None:
    y = np.array([0, 0, 1, 1.0])
    assert evaluate.expected_calibration_error(y, np.array([0.1, 0.1, 0.9, 0.9]), bins=2) == pytest.approx(0.1)
    assert evaluate.expected_calibration_error(y, np.full(4, 0.5), bins=1) == 0


def test_bins_hold_equal_counts_in_rising_order() -> None:
    rng = np.random.default_rng(0)
    table = evaluate.calibration((rng.random(1000) < 0.3).astype(float), rng.random(1000))
    assert len(table) == 15 and {row["rows"] for row in table} <= {66, 67}
    assert [row["predicted"] for row in table] == sorted(row["predicted"] for row in table)


def test_one_class_has_no_ranking() -> None:
    assert math.isnan(evaluate.measure(np.zeros(20), np.linspace(0, 1, 20))["auc"])


def good() -> dict[str, Any]:
    month = {"auc": 0.75, "predicted": 0.2, "observed": 0.19}
    return {"overall": {"auc": 0.775, "brier": 0.134, "ece": 0.01}, "month": {9: dict(month), 10: dict(month)}}


@pytest.mark.parametrize(
    ("place", "value", "failed"),
    [
        (("overall", "auc"), 0.7699, "auc"),
        (("overall", "auc"), float("nan"), "auc"),
        (("overall", "brier"), 0.1371, "brier"),
        (("overall", "ece"), 0.0201, "ece"),
        (("month", 10, "auc"), 0.7199, "worst month auc"),
        (("month", 9, "predicted"), 0.24, "worst month |mean score - truth|"),
    ],
)
def test_each_bar_is_its_own(place: tuple[Any, ...], value: float, failed: str) -> None:
    result = copy.deepcopy(good())
    assert all(gate.passed for gate in gates.judge(result, 0.772))
    part = result
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    assert [gate.name for gate in gates.judge(result) if not gate.passed] == [failed]


def test_the_baseline_may_be_ahead_by_half_a_hundredth() -> None:
    assert all(gate.passed for gate in gates.judge(good(), 0.7799))
    assert [gate.name for gate in gates.judge(good(), 0.7801) if not gate.passed] == ["auc against HistGB"]
