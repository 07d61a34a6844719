"""What matters most: how much ranking is lost when a view's values are shuffled between flights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flights.dataset import Rows
from flights.evaluate import measure
from flights.package import Packaged
from flights.training_set import CATEGORICAL, NUMERIC
from flights.views import SERVED

SAMPLE = 6_000


def by_view(model: Packaged, rows: Rows, seed: int = 0) -> dict[str, float]:
    """Loss of AUC per view (and for the three categories together) on a sample, largest first (Breiman, 2001)."""
    rng = np.random.default_rng(seed)
    sample = rows.take(rng.permutation(len(rows))[:SAMPLE])
    full = measure(sample.y, model.predict(sample))["auc"]
    losses = {}
    for view in SERVED:
        names = {"weather_age" if column == "weather_known_at" else column for column in view.columns}
        columns = [i for i, name in enumerate(NUMERIC) if name in names]
        order = rng.permutation(len(sample))
        numeric = sample.numeric.copy()
        numeric[:, columns] = numeric[order][:, columns]
        losses[view.name] = full - measure(sample.y, model.predict(replace(sample, numeric=numeric)))["auc"]
    order = rng.permutation(len(sample))
    category = {name: sample.category[name][order] for name in CATEGORICAL}
    losses["carrier, origin, dest"] = full - measure(sample.y, model.predict(replace(sample, category=category)))["auc"]
    return dict(sorted(losses.items(), key=lambda item: -item[1]))
