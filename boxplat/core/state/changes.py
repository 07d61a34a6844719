"""Changes of what endpoints serve: those under way, and which of them moved the traffic, when, from what to what."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.processes import start_ticks
from boxplat.core.state.database import Database, Transaction

Weights = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an endpoint, from its beginning to its end.

    `kind` is deploy, split, rollback, return (the supervisor took traffic from a release that crashed) or undeploy.
    `weights` and `shadow` are what it is for, `before` and `before_shadow` what was served when it moved the traffic.
    `moved` is None until it did, `ended` until nothing is left to do or to watch; `problem` is why it came to nothing.
    `pid` and `pid_started` tell the process that makes it. `owed` is the alias (model, alias, version) that has to
    follow the traffic and has not yet.
    """

    id: int
    endpoint: str
    kind: str
    by: str
    reason: str
    began: float
    pid: int | None
    pid_started: float | None
    weights: Weights
    shadow: int | None
    before: Weights
    before_shadow: int | None
    moved: float | None
    ended: float | None
    problem: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    owed: Mapping[str, Any] | None = None

    @property
    def releases(self) -> set[int]:
        """All that it sends requests to."""
        return {*self.weights} | ({self.shadow} if self.shadow else set())

    @property
    def released(self) -> set[int]:
        """All that were sent requests before it."""
        return {*self.before} | ({self.before_shadow} if self.before_shadow else set())


class Changes:
    """The changes of all endpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, endpoint: str, kind: str, weights: Weights, by: str, *, shadow: int | None = None, reason: str = ""
    ) -> Change:
        """Begin a change in this process: its releases are started, and stay, until it ends."""
        with self._database.write() as tx:
            return begin(tx, endpoint, kind, weights, by, shadow, reason)

    def end(self, change: int, problem: str = "") -> None:
        """Close a change: what only it kept running may stop."""
        with self._database.write() as tx:
            end(tx, change, problem)

    def paid(self, change: int) -> None:
        """Note that the alias has followed the traffic."""
        with self._database.write() as tx:
            tx.execute("update change set owed = null where id = ?", (change,))

    def owing(self) -> list[Change]:
        """Those whose alias has not followed yet, the oldest first."""
        return self._found("owed is not null", None)

    def current(self, endpoint: str | None = None) -> list[Change]:
        """Those that have not ended, the oldest first."""
        return self._found("ended is null", endpoint)

    def history(self, endpoint: str) -> list[Change]:
        """Those that moved the traffic of an endpoint, the oldest first."""
        return self._found("moved is not null", endpoint)

    def get(self, change: int) -> Change:
        with self._database.read() as db:
            return of(db.execute("select * from change where id = ?", (change,)).fetchone())

    def _found(self, where: str, endpoint: str | None) -> list[Change]:
        chosen, values = (f"{where} and endpoint = ?", (endpoint,)) if endpoint else (where, ())
        with self._database.read() as db:
            rows = db.execute(f"select * from change where {chosen} order by coalesce(moved, began), id", values)
            return [of(row) for row in rows.fetchall()]


def begin(
    tx: Transaction, endpoint: str, kind: str, weights: Weights, by: str, shadow: int | None = None, reason: str = ""
) -> Change:
    """Insert a change that this process makes."""
    pid = os.getpid()
    cursor = tx.execute(
        "insert into change (endpoint, kind, by, reason, began, pid, pid_started, weights, shadow) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (endpoint, kind, by, reason, time.time(), pid, start_ticks(pid), _text(weights), shadow),
    )
    return of(tx.execute("select * from change where id = ?", (cursor.lastrowid,)).fetchone())


def end(tx: Transaction, change: int, problem: str = "") -> None:
    """Close a change that is open."""
    values = (time.time(), problem, change)
    tx.execute("update change set ended = ?, problem = ? where id = ? and ended is null", values)


def moved(
    tx: Transaction,
    change: int,
    before: Weights,
    before_shadow: int | None,
    evidence: Mapping[str, Any],
    owed: Mapping[str, Any] | None,
) -> None:
    """Note that a change has moved the traffic, from what, and which alias has to follow."""
    facts = json.dumps(dict(evidence), sort_keys=True, default=str)
    last = tx.execute(
        "select max(moved) as at from change where endpoint = (select endpoint from change where id = ?)", (change,)
    ).fetchone()
    # Their order is that of their moments, also when somebody has set the clock back.
    at = max(time.time(), (last["at"] or 0.0) + 1e-3)
    tx.execute(
        "update change set moved = ?, before = ?, before_shadow = ?, evidence = ?, owed = ? where id = ?",
        (at, _text(before), before_shadow, facts, json.dumps(dict(owed)) if owed else None, change),
    )


def _text(weights: Weights) -> str:
    return json.dumps({str(number): weight for number, weight in sorted(weights.items())})


def _weights(text: str) -> dict[int, int]:
    return {int(number): int(weight) for number, weight in json.loads(text).items()}


def of(row: sqlite3.Row) -> Change:
    """The change of a row."""
    values = {name: row[name] for name in Change.__dataclass_fields__}
    values |= {"weights": _weights(row["weights"]), "before": _weights(row["before"])}
    values["owed"] = json.loads(row["owed"]) if row["owed"] else None
    return Change(**values | {"evidence": json.loads(row["evidence"])})
