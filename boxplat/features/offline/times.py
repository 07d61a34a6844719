"""Points in time in DuckDB SQL, whatever type a source keeps them in; naive means UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import quoted
from boxplat.features.offline.source import Source

_ZONED = "TIMESTAMP WITH TIME ZONE"
_ZONED_NS = "TIMESTAMPTZ_NS"
_NAIVE = {"TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "DATE"}
# What nanoseconds can express.
_FIRST_NS, _LAST_NS = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)


def instant(source: Source, column: str) -> str:
    """SQL for a column as TIMESTAMP (naive UTC) or, where it has a zone, TIMESTAMPTZ.

    Raises:
        BoxError: the column holds no times (exit code 2).
    """
    kind = source.types[column]
    if kind in ("TIMESTAMP", _ZONED):
        return quoted(column)
    if kind in _NAIVE:
        return f"CAST({quoted(column)} AS TIMESTAMP)"
    if kind in ("VARCHAR", _ZONED_NS):
        return f"CAST({quoted(column)} AS TIMESTAMPTZ)"
    raise BoxError(
        f"column {column!r} of {source.name} cannot be a time: its type is {kind}",
        why="a time column is a timestamp, a date, or ISO 8601 text",
        fix="write it as a timestamp, or name another timestamp_field, then: box features apply",
        code=ExitCode.USAGE,
    )


def micros(source: Source, column: str) -> str:
    """SQL for a time column as microseconds since the epoch, int64; nanoseconds are rounded down."""
    if source.types[column] in (_ZONED_NS, "TIMESTAMP_NS"):
        nanos = f"epoch_ns({quoted(column)})"
        return f"({nanos} // 1000 - CAST({nanos} % 1000 < 0 AS BIGINT))"
    return f"epoch_us({instant(source, column)})"


def between(source: Source, column: str, start: datetime | None, end: datetime | None) -> str:
    """SQL condition: both ends belong to the range; an open end is None. Stated so that row groups can be left out."""
    kind = source.types[column]
    exact = kind in (_ZONED_NS, "TIMESTAMP_NS")
    value = quoted(column) if exact else instant(source, column)
    bounds = [f"{value} {sign} {_literal(at, kind)}" for sign, at in ((">=", start), ("<=", end)) if at is not None]
    return " AND ".join(bounds) or "true"


def _literal(at: datetime, kind: str) -> str:
    # Python takes a naive time for local; Feast has made every time aware before it comes here, so naive is UTC.
    utc = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    exact = kind in (_ZONED_NS, "TIMESTAMP_NS")
    moment = min(max(utc, _FIRST_NS), _LAST_NS) if exact else utc
    text = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    known = f"TIMESTAMPTZ '{text}+00'" if kind in (_ZONED, _ZONED_NS, "VARCHAR") else f"TIMESTAMP '{text}'"
    return f"CAST({known} AS {kind})" if exact else known
