"""The verb `box predictions`: which log is meant, and its rows as plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# Columns that hold JSON.
JSON = ("keys", "features", "ages", "prediction")


def folder_of(paths: Paths, endpoint: str) -> Path:
    """Where the log of an endpoint lies."""
    return paths.state / "predictions" / endpoint


def predictions(
    paths: Paths,
    endpoints: Sequence[str],
    name: str,
    since: str | None = None,
    where: str | None = None,
    limit: int = 20,
    sql: str | None = None,
) -> list[dict[str, Any]]:
    """The newest predictions of an endpoint's log, from the oldest to the newest; or the answer of a statement.

    Args:
        endpoints: those that are configured.
        since: `30m`, `1h`, `2d`, or an ISO time.
        where: a condition in SQL over the log's columns.
        sql: a statement over the views `predictions` and `requests`, instead of all others.

    Raises:
        BoxError: no such endpoint (exit code 9), a time that is none, or SQL that DuckDB refuses (2).
    """
    folder = folder_of(paths, name)
    if name not in endpoints and not folder.is_dir():
        raise not_found("endpoint", name, endpoints, "box endpoints")
    from boxplat.serving.log import reading

    begin = moment(since) if since else None
    if sql is not None:
        return [dict(row) for row in reading.query(folder, sql, begin).to_pylist()]
    found = reading.read(folder, begin, where=where, limit=limit)
    return [{**row, **{column: _value(row[column]) for column in JSON}} for row in found.to_pylist()]


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def moment(text: str) -> datetime:
    """The time that `30m`, `1h`, `2d` (ago) or an ISO time names (without a zone: UTC).

    Raises:
        BoxError: it names none (exit code 2).
    """
    span = re.fullmatch(r"(\d+)\s*([smhd])", text.strip())
    try:
        if span:
            return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise BoxError(
            f"{text!r} is no time",
            why=str(error),
            fix="give a span (30m, 1h, 2d) or an ISO time: --since 2026-01-31T12:00:00+00:00",
            code=ExitCode.USAGE,
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
