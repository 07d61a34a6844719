"""What is known of an endpoint beside its releases and their traffic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from boxplat.core.state.database import Database


class Endpoints:
    """Settings of the endpoints as their last deploy, or the last `box up`, found them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settings(self) -> dict[str, Mapping[str, Any]]:
        """The keys of `[endpoints.NAME]` of every endpoint that was ever deployed, by its name."""
        with self._database.read() as db:
            rows = db.execute("select name, settings from endpoint order by name").fetchall()
            return {row["name"]: json.loads(row["settings"]) for row in rows}

    def settle(self, name: str, settings: Mapping[str, Any]) -> None:
        """Replace the settings that hold for all releases of an endpoint."""
        text = json.dumps(dict(settings), sort_keys=True)
        with self._database.write() as tx:
            tx.execute(
                "insert into endpoint (name, settings) values (?, ?) "
                "on conflict (name) do update set settings = excluded.settings",
                (name, text),
            )
