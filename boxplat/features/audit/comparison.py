"""What the training set says against what the code says when the future is hidden, column by column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Example:
    """One value that changes: the row's key, its decision time, what the set holds and what an honest one would."""

    row: Mapping[str, Any]
    decided: str
    value: Any
    honest: Any


@dataclass
class Difference:
    """All values of one column that change."""

    column: str
    rows: int = 0
    distances: list[float] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    @property
    def mean_difference(self) -> float | None:
        """Mean absolute difference over the changed rows that hold a number on both sides."""
        return sum(self.distances) / len(self.distances) if self.distances else None


@dataclass
class Comparison:
    """`rows` compared, the `differences` by column, rows that the code did not give back, columns that it lacks."""

    rows: int = 0
    values: int = 0
    differences: dict[str, Difference] = field(default_factory=dict)
    missing: list[Example] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)

    def add(
        self, decided: datetime, wanted: Sequence[Row], found: Mapping[tuple[Any, ...], Row], key: Sequence[str],
        columns: Sequence[str], tolerance: float,
    ) -> None:  # fmt: skip
        """Compare the rows of one decision time."""
        for row in wanted:
            name = {column: row[column] for column in key}
            honest = found.get(tuple(row[column] for column in key))
            self.rows += 1
            if honest is None:
                self.missing.append(Example(name, decided.isoformat(), None, None))
                continue
            self.absent |= {column for column in columns if column not in honest}
            for column in columns:
                if column in honest:
                    self.values += 1
                    self._compare(column, row[column], honest[column], tolerance, name, decided)

    def _compare(
        self, column: str, value: Any, honest: Any, tolerance: float, name: Mapping[str, Any], decided: datetime
    ) -> None:
        if equal(value, honest, tolerance):
            return
        difference = self.differences.setdefault(column, Difference(column))
        difference.rows += 1
        if _number(value) and _number(honest) and math.isfinite(value) and math.isfinite(honest):
            difference.distances.append(abs(float(value) - float(honest)))
        difference.examples.append(Example(name, decided.isoformat(), value, honest))


def equal(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Exact equality in which nothing equals nothing and NaN equals NaN; naive times are UTC."""
    if isinstance(a, datetime) and isinstance(b, datetime):
        return _utc(a) == _utc(b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[key], b[key], tolerance) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    if tolerance and _number(a) and _number(b):
        return bool(abs(a - b) <= tolerance)
    return bool(a == b)


def by_key(rows: Sequence[Row], key: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """Rows by the values of their key columns."""
    return {tuple(row.get(column) for column in key): row for row in rows}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
