"""A point-in-time join in plain Python values, and its brute-force answer: nested loops, nothing clever.

Times are integers, microseconds since the epoch (None: no time); a row is a dictionary by column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

Row = dict[str, Any]


@dataclass(frozen=True)
class View:
    """One feature view's history, as it lies in its files.

    Attributes:
        keys: source column -> join key of the view.
        aliases: join key -> entity column, for a view that is asked under other names.
        features: source column -> feature.
        types: source column -> Arrow type, of every column in the files.
        parts: into how many files the rows are cut, in the order they have.
        path: where the history already lies; `rows` are then not written.
    """

    name: str
    keys: Mapping[str, str]
    features: Mapping[str, str]
    types: Mapping[str, pa.DataType]
    rows: list[Row]
    ttl_us: int | None = None
    timestamp: str = "event_timestamp"
    created: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    asked_as: str | None = None
    parts: int = 1
    path: str | None = None

    @property
    def label(self) -> str:
        return self.asked_as or self.name

    def entity_column(self, source: str) -> str:
        key = self.keys[source]
        return self.aliases.get(key, key)


@dataclass(frozen=True)
class Case:
    """A whole request.

    Attributes:
        types: Arrow types of the entity rows' columns.
        given_as: in what form the entity rows come, such as pandas or sql.
    """

    types: Mapping[str, pa.DataType]
    rows: list[Row]
    views: list[View]
    timestamp: str = "event_timestamp"
    cutoff: bool = False
    full_names: bool = False
    given_as: str = "pandas"

    def output(self, view: View, feature: str) -> str:
        return f"{view.label}__{feature}" if self.full_names else feature


def known(row: Row, asked: Row, view: View, case: Case) -> bool:
    """Whether this row of history may be seen by this entity row."""
    for source in view.keys:
        mine, theirs = row[source], asked[view.entity_column(source)]
        if mine is None or theirs is None or mine != theirs:
            return False
    event, now = row[view.timestamp], asked[case.timestamp]
    if event is None or now is None or event > now:
        return False
    if view.ttl_us and now - event > view.ttl_us:
        return False
    if case.cutoff and view.created is not None:
        created = row[view.created]
        return created is not None and created <= now
    return True


def rank(row: Row, view: View) -> tuple[int, bool, int]:
    """What makes one row win over another: the later event, then the later `created`, which nothing loses to."""
    created = row[view.created] if view.created is not None else None
    return row[view.timestamp], created is not None, created or 0


def answers(asked: Row, view: View, case: Case) -> list[Row]:
    """Every right answer of one view for one entity row, by feature: several where rows tie in all that decides."""
    seen = [row for row in view.rows if known(row, asked, view, case)]
    if not seen:
        return [dict.fromkeys(view.features.values())]
    best = max(rank(row, view) for row in seen)
    ties = [row for row in seen if rank(row, view) == best]
    return [{feature: row[source] for source, feature in view.features.items()} for row in ties]


def same(found: Any, right: Any) -> bool:
    """Equality in which NaN is itself and nothing else, and -0.0 is 0.0."""
    if isinstance(right, float) and isinstance(found, float) and math.isnan(right):
        return math.isnan(found)
    if isinstance(right, list) and isinstance(found, list):
        return len(found) == len(right) and all(map(same, found, right))
    return type(found) is type(right) and bool(found == right)
