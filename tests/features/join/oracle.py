"""The join written down as its definition: for every entity row a look at every history row. Slow and simple."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from boxplat.features.join import History

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(value: Any) -> int | None:
    """Microseconds since the epoch of a datetime; naive is UTC."""
    if value is None:
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def expected(
    entity: pa.Table, timestamp: str, histories: Sequence[tuple[History, pa.Table]], cutoff: bool = False
) -> list[dict[str, Any]]:
    """The rows of the result; each history with all its rows in the order in which they were written."""
    rows = entity.to_pylist()
    for history, table in histories:
        known = table.to_pylist()
        for row in rows:
            best = _best(row, micros(row[timestamp]), history, known, cutoff)
            row.update({name: None if best is None else best[column] for column, name in history.features})
    return rows


def _best(
    row: dict[str, Any], at: int | None, history: History, known: list[dict[str, Any]], cutoff: bool
) -> dict[str, Any] | None:
    found: list[tuple[tuple[int, float, int], dict[str, Any]]] = []
    for number, candidate in enumerate(known):
        time = micros(candidate[history.timestamp])
        created = micros(candidate[history.created]) if history.created else None
        if at is None or time is None or time > at or (history.ttl_us and at - time > history.ttl_us):
            continue
        if any(row[theirs] is None or row[theirs] != candidate[ours] for ours, theirs in history.keys):
            continue
        if cutoff and history.created and (created is None or created > at):
            continue
        found.append(((time, float("-inf") if created is None else created, number), candidate))
    return max(found, key=lambda pair: pair[0])[1] if found else None
