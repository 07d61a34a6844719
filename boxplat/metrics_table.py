"""The metrics of a run, and runs beside each other, as text."""

from __future__ import annotations

from collections.abc import Sequence

from boxplat.core.metrics import Fact, Series, SideBySide
from boxplat.render import duration, table

_FIGURE = ".6g"


def metrics(found: Sequence[Series], run: int) -> str:
    """A row a metric."""
    if not found:
        return f"run {run} has no metrics: a number that a step stores (self.auc = ...) becomes one"
    rows = [(one.name, one.source, *map(_figure, (one.last.value, one.low, one.high)), one.count) for one in found]
    nested = any(one.source for one in found)
    heads = ("METRIC", "OF", "LAST", "LOWEST", "HIGHEST", "VALUES")
    return table(heads if nested else (heads[0], *heads[2:]), rows if nested else [(row[0], *row[2:]) for row in rows])


def _figure(value: float) -> str:
    return format(value, _FIGURE)


def side_by_side(found: SideBySide) -> str:
    """A row a fact, a column a run; `*` marks what differs."""
    heads = ("", "WHAT", "", *(f"RUN {run.id}" for run in found.runs))
    rows = [("*" if fact.differs else "", fact.group, fact.name, *_values(fact)) for fact in found.facts]
    notes = [f"run {number}: {note}" for number, note in found.notes.items()]
    return "\n".join([table(heads, rows), *notes])


def _values(fact: Fact) -> list[str | None]:
    timed = fact.group == "step" or fact.name == "seconds"
    return [_value(value, timed) for value in fact.values]


def _value(value: str | float | None, timed: bool) -> str | None:
    if isinstance(value, str) or value is None:
        return value[:60] if value else None
    return duration(value) if timed else _figure(value)
