"""Small facts about the box itself."""

from __future__ import annotations

from boxplat.core.state.database import Database


class Meta:
    """Texts by key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> str | None:
        with self._database.read() as db:
            row = db.execute("select value from meta where key = ?", (key,)).fetchone()
            return str(row["value"]) if row else None

    def made_once(self, key: str, value: str) -> str:
        """The text that is stored; `value` becomes it where there is none, whoever else asks at the same time."""
        with self._database.write() as tx:
            tx.execute("insert or ignore into meta (key, value) values (?, ?)", (key, value))
            return str(tx.execute("select value from meta where key = ?", (key,)).fetchone()["value"])

    def set(self, key: str, value: str | None) -> None:
        """Store a text; None removes the key."""
        with self._database.write() as tx:
            if value is None:
                tx.execute("delete from meta where key = ?", (key,))
            else:
                tx.execute("insert or replace into meta (key, value) values (?, ?)", (key, value))
