"""Held-out flights for the gates before a promotion (`[gates.delay]` in boxplat.toml): the same for every version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from flights import dataset
from flights.paths import training_table
from flights.preparation import model_input
from flights.training_set import LEAD, NUMERIC

SPECIFICATION = "delay.json"
DAY, NEW_YORK = 24 * 60, 5 * 60


def held_out(model: Path) -> dict[str, np.ndarray[Any, Any]]:
    """September to December with features as known an hour before departure, as the inputs of the model in a folder.

    Flights of a day share its weather, so that a day is the unit of every interval.
    """
    rows = dataset.load(training_table(), f"y is not null and month >= {dataset.TEST.start}")
    details = json.loads((model / SPECIFICATION).read_text())
    if details["numeric"] != list(NUMERIC):
        raise ValueError(f"the model in {model.name} was made for other features: train it again with flows/train.py")
    return {
        "rows": model_input(rows, details["levels"]),
        "labels": rows.y,
        "group": (rows.sched - NEW_YORK) // DAY,
        "time": (rows.sched - LEAD) * 60,
        "slice.month": rows.month,
        "slice.origin": rows.category["origin"],
    }
