"""Rows of one source within a time range: all of them, or the newest of each entity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from boxplat.features.database import quoted
from boxplat.features.offline import times
from boxplat.features.offline.source import Source

# Feast partitions logged features by this column and never reads it back.
_LOG_DATE = "__log_date"
_NEVER = "-9223372036854775808"


@dataclass(frozen=True)
class Wanted:
    """Columns and range of a pull; names are the source's own.

    Attributes:
        keys: join keys; none: the whole source is one entity.
        features: further columns; none: every column of the source (what a transformation is given).
        start, end: both belong to the range.
    """

    keys: Sequence[str]
    features: Sequence[str]
    timestamp: str
    created: str | None
    start: datetime | None
    end: datetime | None

    def columns(self, source: Source) -> list[str]:
        """Names to select, in Feast's order, each once.

        Raises:
            BoxError: the source lacks one (exit code 2).
        """
        if not self.features:
            return [name for name in source.types if name != _LOG_DATE]
        roles = [(self.keys, "join key"), (self.features, "feature"), ((self.timestamp,), "event time")]
        roles.append(((self.created,) if self.created else (), "created time"))
        names = [source.column(name, role, {}) for group, role in roles for name in group if name != _LOG_DATE]
        return list(dict.fromkeys(names))

    def condition(self, source: Source) -> str:
        """SQL condition of the range."""
        return times.between(source, source.column(self.timestamp, "event time", {}), self.start, self.end)


def everything(source: Source, wanted: Wanted) -> str:
    """SQL for all rows of the range, in any order."""
    return f"SELECT {_list(wanted.columns(source))} FROM {source.relation} WHERE {wanted.condition(source)}"


def latest(source: Source, wanted: Wanted) -> str:
    """SQL for the newest row of each entity in the range.

    Of equal event times the greatest created time wins (NULL is less than any), then the row that was written last.
    """
    columns = wanted.columns(source)
    rank = [times.micros(source, wanted.timestamp)]
    if wanted.created:
        rank.append(f"coalesce({times.micros(source, wanted.created)}, {_NEVER})")
    condition = f"{wanted.condition(source)} AND {quoted(wanted.timestamp)} IS NOT NULL"
    if not source.relation.startswith("read_parquet(") or {"file_index", "file_row_number"} & set(source.types):
        order = ", ".join(f"{part} DESC" for part in rank)
        over = f"PARTITION BY {_list(wanted.keys)} " if wanted.keys else ""
        number = f"row_number() OVER ({over}ORDER BY {order})"
        return f"SELECT {_list(columns)} FROM {source.relation} WHERE {condition} QUALIFY {number} = 1"
    # Only times and keys are read to find the winners; then the other columns, for the winners.
    best = f"max(row({', '.join(rank)}, file_index, file_row_number))"
    group = f" GROUP BY {_list(wanted.keys)}" if wanted.keys else ""
    place = len(rank)
    return (
        f"WITH best AS (SELECT {best} AS b FROM {source.relation} WHERE {condition}{group}), "
        f"winner AS (SELECT b[{place + 1}] AS f, b[{place + 2}] AS r FROM best) "
        f"SELECT {_list(columns, 's')} FROM {source.relation} s JOIN winner w "
        "ON s.file_index = w.f AND s.file_row_number = w.r"
    )


def _list(names: Sequence[str], table: str = "") -> str:
    prefix = f"{table}." if table else ""
    return ", ".join(prefix + quoted(name) for name in names)
