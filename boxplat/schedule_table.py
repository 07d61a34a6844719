"""`box schedule list` for people."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.core.model import Schedule
from boxplat.render import ago, clock, table


def text(rows: Iterable[Schedule]) -> str:
    """A row for each flow that starts by itself; times are of this machine's clock."""
    return table(("FLOW", "FILE", "STATE", "STARTS", "NEXT", "LAST"), [_row(row) for row in rows])


def _row(row: Schedule) -> tuple[object, ...]:
    last = f"{ago(row.last)} (run {row.run})" if row.last is not None else None
    return row.name, row.flow, row.state, _starts(row), clock(row.next) if row.next else None, last


def _starts(row: Schedule) -> str:
    parts = [f"{row.cron} {row.zone}"] if row.cron else []
    if row.events:
        parts.append(" and ".join(f"{name}{' (came)' * (name in row.come)}" for name in row.events))
    return ", ".join(parts)
