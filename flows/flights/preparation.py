"""Everything that is learnt from the training rows before the network: quantiles, vocabularies, medians, flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flights.dataset import Rows
from flights.training_set import CATEGORICAL

KNOTS = 101
SAMPLE = 60_000
MIN_LEVEL_ROWS = 20
FLAG_ABOVE = 0.0005


@dataclass(frozen=True)
class Preparation:
    """`knots` [49, 101], `flagged` positions of numerics with a missing flag, `levels` known values per category
    (code = position + 1, 0 = other), `medians` per numeric, `modes` the commonest level per category."""

    knots: np.ndarray[Any, Any]
    flagged: list[int]
    levels: dict[str, list[str]]
    medians: list[float]
    modes: dict[str, str]

    @classmethod
    def learn(cls, train: Rows) -> Preparation:
        """From training rows only; the quantiles from a fixed sample of them, so that they don't depend on the seed."""
        rng = np.random.default_rng(0)
        sample = train.numeric[rng.permutation(len(train))[:SAMPLE]]
        knots = np.nanquantile(sample, np.linspace(0, 1, KNOTS), axis=0).T.astype(np.float32)
        missing = np.isnan(train.numeric).mean(axis=0)
        levels, modes = {}, {}
        for name in CATEGORICAL:
            values, counts = np.unique(train.category[name], return_counts=True)
            levels[name] = [str(value) for value in values[counts >= MIN_LEVEL_ROWS]]
            modes[name] = str(values[counts.argmax()])
        medians = [float(value) for value in np.nanmedian(train.numeric, axis=0)]
        return cls(knots, [int(i) for i in np.flatnonzero(missing > FLAG_ABOVE)], levels, medians, modes)

    def matrix(self, rows: Rows) -> np.ndarray[Any, Any]:
        """Model input float32 [N, 52] with the codes of these levels."""
        return model_input(rows, self.levels)

    def baseline(self) -> np.ndarray[Any, Any]:
        """The training median as a model input [1, 52]: medians and the commonest levels."""
        codes = [self.levels[name].index(self.modes[name]) + 1 for name in CATEGORICAL]
        return np.asarray([[*self.medians, *codes]], dtype=np.float32)


def model_input(rows: Rows, levels: dict[str, list[str]]) -> np.ndarray[Any, Any]:
    """Model input float32 [N, 52]: the numerics (NaN for missing), then one code per category."""
    codes = [category_codes(rows.category[name], levels[name]) for name in CATEGORICAL]
    return np.column_stack([rows.numeric, *codes]).astype(np.float32)


def category_codes(values: np.ndarray[Any, Any], levels: list[str]) -> np.ndarray[Any, Any]:
    """Codes [N]: position in the sorted `levels` plus one, 0 for a value that is not among them."""
    known = np.asarray(levels)
    place = np.searchsorted(known, values).clip(max=len(known) - 1)
    return np.where(known[place] == values, place + 1, 0)
