"""`box features list`, `show` and `get` for people."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boxplat.render import duration, table

if TYPE_CHECKING:
    from boxplat.features.distribution import Shown, ViewShown
    from boxplat.features.statistics import Distribution

_BAR = 40


def views(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row a view."""
    columns = ("VIEW", "STATE", "AGE", "TTL", "ROWS", "FEATURES", "KEYS", "SOURCE")
    return table(columns, [_view(row) for row in rows])


def _view(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        row["view"],
        state(row),
        duration(row.get("lag_seconds")),
        duration(row["ttl_seconds"]),
        row.get("rows"),
        len(row["features"]),
        ", ".join(key["name"] for key in row["keys"]),
        row["source"],
    )


def state(row: Mapping[str, Any]) -> str:
    """How a view stands, in a word or two."""
    if row["on_demand"]:
        return "on demand"
    if not row["online"]:
        return "not known" if row["online"] is None else "not online"
    if row["stale"]:
        return "stale" if row["rows"] else "empty"
    return "fresh" if row["rows"] else "empty"


def online(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table an entity: each feature with its status, and the age of its view's row."""
    return "\n\n".join(_entity(row) for row in rows)


def _entity(row: Mapping[str, Any]) -> str:
    keys = "  ".join(f"{name}={value}" for name, value in row["keys"].items())
    ages = row["age_seconds"]
    lines = [
        (name, value, row["status"][name], duration(ages.get(name.partition("__")[0])))
        for name, value in row["features"].items()
    ]
    return f"{keys}\n{table(('FEATURE', 'VALUE', 'STATUS', 'AGE'), lines)}"


def distributions(shown: ViewShown) -> str:
    """A row a feature; one alone with its histogram."""
    looked = "all" if shown.sampled == shown.rows else f"{shown.sampled:,}"
    keys = f"by {', '.join(shown.keys)}; " if shown.keys else ""
    head = f"{shown.view}: {keys}{looked} of {shown.rows:,} rows of {shown.source}"
    if shown.oldest and shown.newest:
        head += f", {shown.oldest[:19]}Z to {shown.newest[:19]}Z"
    columns = ("FEATURE", "TYPE", "NULLS", "DISTINCT", "MINIMUM", "5 %", "MEDIAN", "95 %", "MAXIMUM", "MEAN")
    text = f"{head}\n\n{table(columns, [_feature(one) for one in shown.features])}"
    bars = _bars(shown.features[0].distribution) if len(shown.features) == 1 else ""
    return f"{text}\n\n{bars}" if bars else text


def _feature(one: Shown) -> tuple[object, ...]:
    found = one.distribution
    if found is None:
        return one.name, one.type, one.why, *[None] * 7
    points = found.quantiles or {}
    numbers = (found.minimum, points.get("0.05"), points.get("0.5"), points.get("0.95"), found.maximum, found.mean)
    share = f"{found.nulls / found.rows:.1%}" if found.rows else None
    return one.name, one.type, share, found.distinct, *(None if each is None else f"{each:.5g}" for each in numbers)


def _bars(found: Distribution | None) -> str:
    if found is None:
        return ""
    if found.histogram is None:
        return _drawn(list(found.top))
    edges, told = found.histogram.edges, found.histogram
    pairs = itertools.pairwise(edges)
    lines = [(f"{low:.5g} … {high:.5g}", count) for (low, high), count in zip(pairs, told.counts, strict=True)]
    ends = [(f"below {edges[0]:.5g}", told.below)], [(f"above {edges[-1]:.5g}", told.above)]
    return _drawn([*(ends[0] if told.below else []), *lines, *(ends[1] if told.above else [])])


def _drawn(lines: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in lines), default=0)
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(
        f"{name:>{width}}  {'#' * round(_BAR * count / most) if most else '':<{_BAR}}  {count:,}"
        for name, count in lines
    )
