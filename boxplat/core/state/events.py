"""The append-only audit log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from boxplat.core.model import Event
from boxplat.core.state.database import Database


class Events:
    """What happened, in order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, subject: str, kind: str, data: Mapping[str, Any] | None = None) -> int:
        """Record something that changed no row of ours; returns the event's id."""
        with self._database.write() as tx:
            return tx.event(subject, kind, data)

    def all(self, after: int = 0, subject: str | None = None, limit: int = 200) -> list[Event]:
        """Events with ids above `after`, ascending; the newest `limit` of them."""
        where, values = "id > ?", [after]
        if subject is not None:
            where, values = f"{where} and subject = ?", [after, subject]  # type: ignore[list-item]
        with self._database.read() as db:
            rows = db.execute(f"select * from event where {where} order by id desc limit ?", (*values, limit))
            return [_event(row) for row in reversed(rows.fetchall())]

    def following(self, after: int, limit: int) -> list[Event]:
        """The oldest `limit` events with ids above `after`, ascending."""
        with self._database.read() as db:
            rows = db.execute("select * from event where id > ? order by id limit ?", (after, limit)).fetchall()
            return [_event(row) for row in rows]


def _event(row: sqlite3.Row) -> Event:
    return Event(row["id"], row["at"], row["subject"], row["kind"], json.loads(row["data"]))
