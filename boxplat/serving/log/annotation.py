"""What a service says about its predictions, from inside an API: `boxplat.serving.annotate`."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

TABLES = ("keys", "features", "ages")
# Bytes that one value of an annotation is counted with, as long as it waits in memory.
_VALUE = 48


@dataclass(slots=True)
class Said:
    """What one call of `annotate` gave.

    Attributes:
        rows: how many predictions it is about, each value being a column of that many; None: one, of plain values.
        values: by the names of the log's columns.
        start, stop: which of the rows concern the request; None: all of them.
    """

    rows: int | None
    values: dict[str, Any]
    start: int = 0
    stop: int | None = None

    def part(self, start: int, stop: int) -> Said:
        """The rows of one request among those of a batch. What is said without rows holds for the whole batch."""
        if self.rows is None:
            return self
        return Said(self.rows, self.values, self.start + start, self.start + stop)

    def weight(self) -> int:
        """About what it takes in memory, in bytes."""
        count = 0
        for value in self.values.values():
            count += len(value) if isinstance(value, dict) else 1
        stop = self.rows if self.stop is None else self.stop
        return _VALUE * (8 + max(1, count) * (1 if stop is None else max(1, stop - self.start)))


Slip = list[Said]
# What is said of a request whose answer nobody sees.
SHADOWED = Said(None, {"shadow": True})
_slip: ContextVar[Slip | None] = ContextVar("boxplat_prediction_log", default=None)


def opened() -> Slip:
    """A slip for the request that is about to be computed in this context: what `annotate` says is put on it."""
    slip: Slip = []
    _slip.set(slip)
    return slip


def close() -> None:
    """What is said in this context belongs to no request: `annotate` does nothing."""
    _slip.set(None)


def current() -> Slip | None:
    """The slip of this context; None where nothing is logged."""
    return _slip.get()


def share(batch: Slip, parts: Iterable[tuple[Slip | None, int]]) -> None:
    """Give each request of a batch its rows of what was said about the whole.

    Args:
        batch: the slip that was open while the batch was computed.
        parts: slip and number of rows of each request, in the order of the batch.
    """
    if not batch:
        return
    start = 0
    for slip, rows in parts:
        if slip is not None:
            slip.extend(said.part(start, start + rows) for said in batch)
        start += rows


def annotate(
    *,
    rows: int | None = None,
    keys: Mapping[str, Any] | None = None,
    features: Mapping[str, Any] | None = None,
    ages: Mapping[str, Any] | None = None,
    as_of: datetime | Sequence[datetime] | None = None,
    predictions: Any = None,
    model_version: str | None = None,
    feature_service: str | None = None,
) -> None:
    """Attach facts to the log's record of the request that is being answered; does nothing where nothing is logged.

    May be called several times; later values win. Values are read about a second later and must not be changed after
    the call. Raises nothing: what cannot be logged is named in the record's `problem`.

    Args:
        rows: how many predictions this is about: then every value is a sequence of that many (a list, an array),
            one for each prediction. None: one prediction, with plain values.
        keys: join keys by name.
        features: feature values by name, `feature` or `view__feature`; None and NaN: missing.
        ages: age of the features at `as_of` by view, in seconds; None or NaN: the view had no row.
        as_of: the time that the features were read for (without a zone: UTC).
        predictions: what was predicted, where one value says it: the score of each row.
        model_version: of the registered model, by default the release's.
        feature_service: by default the release's.
    """
    slip = _slip.get()
    if slip is None:
        return
    given = {
        "keys": keys,
        "features": features,
        "ages": ages,
        "as_of": as_of,
        "prediction": predictions,
        "model_version": model_version,
        "feature_service": feature_service,
    }
    slip.append(_checked(rows, {name: value for name, value in given.items() if value is not None}))


def _checked(rows: Any, values: dict[str, Any]) -> Said:
    """With a number of rows that is one, and tables that are dictionaries; else with the problem in their place."""
    try:
        for name in TABLES:
            if name in values and type(values[name]) is not dict:
                values[name] = dict(values[name].items())
        return Said(None if rows is None else operator.index(rows), values)
    except Exception as error:
        # Where there is no log nobody would have noticed: it must not cost the client its answer.
        return Said(None, {"problem": problem(error)})


def problem(error: Exception) -> str:
    """What the log says in place of an annotation that cannot be kept."""
    return f"{type(error).__name__}: {error}"[:300]
