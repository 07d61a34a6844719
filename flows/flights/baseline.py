"""The yardstick: scikit-learn's HistGradientBoosting on the same features, trained on January to August, untuned."""

from __future__ import annotations

from typing import Any

import numpy as np

from flights.dataset import TRAIN, VALIDATION, Rows
from flights.preparation import Preparation
from flights.training_set import CATEGORICAL


def fit_predict(rows: Rows, test: Rows, seed: int = 0) -> np.ndarray[Any, Any]:
    """Train on the training months of `rows`; probabilities [N] of the rows in `test`."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    train = rows.months([*TRAIN, *VALIDATION])
    preparation = Preparation.learn(train)
    matrix = preparation.matrix(train)
    model = HistGradientBoostingClassifier(
        max_iter=200,
        learning_rate=0.08,
        max_leaf_nodes=31,
        min_samples_leaf=100,
        l2_regularization=1.0,
        early_stopping=False,
        categorical_features=list(range(matrix.shape[1] - len(CATEGORICAL), matrix.shape[1])),
        random_state=seed,
    )
    probabilities: np.ndarray[Any, Any] = model.fit(matrix, train.y).predict_proba(preparation.matrix(test))[:, 1]
    return probabilities
