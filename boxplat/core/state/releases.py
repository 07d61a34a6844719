"""Releases of endpoints, and which of them get the traffic."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping

from boxplat.core.model import Release
from boxplat.core.state.database import Database, Transaction


class Releases:
    """Immutable, numbered releases per endpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        endpoint: str,
        bento: str,
        model: str | None,
        model_version: int | None,
        feature_service: str | None,
        environment: str,
        by: str,
    ) -> Release:
        """Make the endpoint's next release.

        Args:
            environment: digest of the Python environment that it was made in.
        """
        now = time.time()
        with self._database.write() as tx:
            row = tx.execute("select max(number) as n from release where endpoint = ?", (endpoint,)).fetchone()
            number = int(row["n"] or 0) + 1
            tx.execute(
                "insert into release (endpoint, number, bento, model, model_version, feature_service, environment, "
                "created, created_by) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (endpoint, number, bento, model, model_version, feature_service, environment, now, by),
            )
            facts = {"number": number, "bento": bento, "model": model, "model_version": model_version, "by": by}
            tx.event(endpoint, "release.created", facts)
        return Release(endpoint, number, bento, model, model_version, feature_service, environment, now, by)

    def all(self, endpoint: str | None = None) -> list[Release]:
        """The newest releases first."""
        where, values = ("where endpoint = ?", (endpoint,)) if endpoint else ("", ())
        with self._database.read() as db:
            rows = db.execute(f"select * from release {where} order by endpoint, number desc", values).fetchall()
            return [_release(row) for row in rows]

    def set_state(self, endpoint: str, number: int, state: str, by: str) -> None:
        """Move a release through created, live, retired or failed."""
        with self._database.write() as tx:
            _mark(tx, endpoint, number, state, by)

    def serve(self, endpoint: str, number: int | None, by: str) -> None:
        """Send every request to one release (None: none anywhere) and retire what was live, all at once."""
        with self._database.write() as tx:
            weights = tx.execute("select number, weight from traffic where endpoint = ?", (endpoint,)).fetchall()
            live = tx.execute(
                "select number from release where endpoint = ? and state = 'live'", (endpoint,)
            ).fetchall()
            wanted = {} if number is None else {number: 100}
            if {row["number"]: row["weight"] for row in weights} == wanted and {row["number"] for row in live} == {
                *wanted
            }:
                return
            _route(tx, endpoint, wanted, by)
            for row in live:
                if row["number"] != number:
                    _mark(tx, endpoint, row["number"], "retired", by)
            if number is not None:
                _mark(tx, endpoint, number, "live", by)

    def traffic(self, endpoint: str) -> dict[int, int]:
        """Percent of the requests by release number."""
        with self._database.read() as db:
            rows = db.execute("select number, weight from traffic where endpoint = ? order by number", (endpoint,))
            return {row["number"]: row["weight"] for row in rows.fetchall()}

    def set_traffic(self, endpoint: str, weights: Mapping[int, int], by: str) -> None:
        """Send the endpoint's requests to these releases (percent; an empty mapping sends none anywhere)."""
        with self._database.write() as tx:
            _route(tx, endpoint, weights, by)


def _mark(tx: Transaction, endpoint: str, number: int, state: str, by: str) -> None:
    tx.execute("update release set state = ? where endpoint = ? and number = ?", (state, endpoint, number))
    tx.event(endpoint, f"release.{state}", {"number": number, "by": by})


def _route(tx: Transaction, endpoint: str, weights: Mapping[int, int], by: str) -> None:
    tx.execute("delete from traffic where endpoint = ?", (endpoint,))
    for number, weight in weights.items():
        tx.execute("insert into traffic (endpoint, number, weight) values (?, ?, ?)", (endpoint, number, weight))
    tx.event(endpoint, "endpoint.traffic", {"weights": dict(weights), "by": by})


def _release(row: sqlite3.Row) -> Release:
    return Release(**{name: row[name] for name in Release.__dataclass_fields__})
