"""How much a random split flatters: one model, the same rows, split at random and split by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.features.audit.sources import moment
from boxplat.features.database import quoted

if TYPE_CHECKING:
    import duckdb
    import numpy as np

    Values = np.ndarray[Any, Any]

ROWS = 25_000
TRAIN = 0.75
CLASSES = 20
LEVELS = 250


@dataclass(frozen=True)
class Optimism:
    """`metric` on the last quarter of `rows` rows, chosen at random or by time, and how far they lie apart."""

    metric: str
    random: float
    chronological: float
    rows: int

    @property
    def difference(self) -> float:
        return self.random - self.chronological


@dataclass(frozen=True)
class Sample:
    """N labelled rows in time order: `inputs` by column (floats with NaN, or codes of texts), `texts` names the latter,
    `label` [N] and whether it is a class."""

    inputs: dict[str, Values]
    texts: frozenset[str]
    label: Values
    classes: bool

    @property
    def metric(self) -> str:
        if not self.classes:
            return "R2"
        return "AUC" if len(set(self.label.tolist())) == 2 else "accuracy"


def sample(
    con: duckdb.DuckDBPyConnection, table: str, time: str, label: str, columns: Sequence[str], seed: int
) -> Sample:
    """At most 25,000 random labelled rows of the training set (SQL), with the columns that are numbers or texts."""
    import numpy as np

    rows = con.sql(
        f"select {', '.join(map(quoted, (*columns, label)))} from (select * from ({table}) "
        f"where {quoted(label)} is not null and {quoted(time)} is not null "
        f"order by hash(__box_row, {seed}) limit {ROWS}) "
        f"order by {moment(quoted(time))}, __box_row"
    ).to_arrow_table()
    inputs, texts = {}, set()
    for column in columns:
        values = _floats(rows[column])
        if values is None:
            values = _codes(rows[column])
            texts.add(column)
        if values is not None:
            inputs[column] = values
    target = _floats(rows[label])
    classes = target is None or len(np.unique(target)) <= CLASSES
    if classes:
        target = _codes(rows[label])
    assert target is not None
    return Sample(inputs, frozenset(texts & inputs.keys()), target, classes)


def optimism(rows: Sample, seed: int) -> Optimism | None:
    """scikit-learn's HistGradientBoosting under both splits; None when there is nothing to learn from."""
    import numpy as np

    count = len(rows.label)
    cut = int(count * TRAIN)
    ordered = np.arange(count)
    shuffled = np.random.default_rng(seed).permutation(count)
    parts = [(order[:cut], order[cut:]) for order in (shuffled, ordered)]
    if count < 200 or not rows.inputs or any(len(np.unique(rows.label[part])) < 2 for pair in parts for part in pair):
        return None
    by_chance, by_time = (_score(rows, train, test, seed) for train, test in parts)
    return Optimism(rows.metric, by_chance, by_time, count)


def alone(rows: Sample, column: str) -> float | None:
    """AUC of one column alone against a label of two classes, whichever way it points and wherever nulls belong."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    if rows.metric != "AUC" or column not in rows.inputs or column in rows.texts:
        return None
    values = rows.inputs[column]
    best = 0.5
    for fill in (-np.inf, np.inf):
        filled = np.clip(np.where(np.isnan(values), fill, values), -1e300, 1e300)
        area = float(roc_auc_score(rows.label, filled))
        best = max(best, area, 1 - area)
    return best


def _score(rows: Sample, train: Values, test: Values, seed: int) -> float:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.metrics import r2_score, roc_auc_score
    from threadpoolctl import threadpool_limits

    inputs = np.column_stack([rows.inputs[column] for column in rows.inputs])
    kind = HistGradientBoostingClassifier if rows.classes else HistGradientBoostingRegressor
    model = kind(
        max_iter=60, learning_rate=0.1, min_samples_leaf=50, random_state=seed,
        early_stopping=False, categorical_features=[column in rows.texts for column in rows.inputs],
    )  # fmt: skip
    # Threads that wait for each other by spinning lose more on a busy machine than they gain on an idle one.
    with threadpool_limits(1):
        model.fit(inputs[train], rows.label[train])
    if rows.metric == "AUC":
        return float(roc_auc_score(rows.label[test], model.predict_proba(inputs[test])[:, 1]))
    predicted = model.predict(inputs[test])
    return float(np.mean(predicted == rows.label[test]) if rows.classes else r2_score(rows.label[test], predicted))


def _floats(column: Any) -> Values | None:
    """A column of numbers, truths or times as float64 with NaN for null; None for other types."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        if not pa.types.is_boolean(kind):
            return None
        column = column.cast(pa.int8())
    found: Values = column.cast(pa.float64()).to_numpy().astype(np.float64)
    return found


def _codes(column: Any) -> Values | None:
    """Texts as codes 0, 1, … by frequency, at most 250 of them (the rest share the last); None for other types."""
    import numpy as np
    import pyarrow as pa

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or _floats(column) is not None):
        return None
    _, codes, counts = np.unique(np.array(column.to_pylist(), dtype=str), return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    found: Values = np.minimum(rank[codes], LEVELS - 1).astype(np.float64)
    return found
