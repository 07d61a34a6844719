"""What must stay because somebody said so, and what `box gc` has taken or is about to take."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.state.database import Database, Transaction

RUN = "run/"


@dataclass(frozen=True, slots=True)
class Pin:
    """`run/12` or `model/delay/3`, which `box gc` leaves alone."""

    subject: str
    at: float
    by: str


@dataclass(frozen=True, slots=True)
class Freed:
    """A thing that was given up: marked first, `done` once nothing is left of it.

    `data` has what it takes to go on after a kill, and of a run what it recorded of itself (`kept`).
    """

    subject: str
    kind: str
    bytes: int
    marked: float
    by: str
    data: Mapping[str, Any] = field(default_factory=dict)
    done: float | None = None


class Disposal:
    """Pins and freed things of one box."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pin(self, subject: str, by: str) -> None:
        """Keep a thing until it is unpinned."""
        with self._database.write() as tx:
            row = (subject, time.time(), by)
            if tx.execute("insert or ignore into pin (subject, at, by) values (?, ?, ?)", row).rowcount:
                tx.event(subject, "gc.pinned", {"by": by})

    def unpin(self, subject: str, by: str) -> bool:
        """Let a thing go. Returns whether it was pinned."""
        with self._database.write() as tx:
            gone = tx.execute("delete from pin where subject = ?", (subject,)).rowcount > 0
            if gone:
                tx.event(subject, "gc.unpinned", {"by": by})
        return gone

    def pins(self) -> list[Pin]:
        """All pins, the oldest first."""
        with self._database.read() as db:
            rows = db.execute("select subject, at, by from pin order by at, subject").fetchall()
            return [Pin(row["subject"], row["at"], row["by"]) for row in rows]

    def mark(self, things: Sequence[Freed]) -> list[Freed]:
        """Give things up, all in one transaction; from then on nothing begins that needs them.

        Returns:
            Those that were given up: not a run that was pinned, or is resumed, since it was chosen.
        """
        with self._database.write() as tx:
            held = _held(tx)
            taken = [one for one in things if one.subject not in held]
            for one in taken:
                tx.execute(
                    "insert or replace into freed (subject, kind, bytes, marked, by, data, done) "
                    "values (?, ?, ?, ?, ?, ?, null)",
                    (one.subject, one.kind, one.bytes, one.marked, one.by, json.dumps(dict(one.data), default=str)),
                )
            if taken:
                told = {"things": len(taken), "bytes": sum(one.bytes for one in taken), "by": taken[0].by}
                tx.event("box", "gc.marked", told)
        return taken

    def done(self, subjects: Iterable[str]) -> None:
        """Nothing is left of these."""
        with self._database.write() as tx:
            for subject in subjects:
                tx.execute("update freed set done = ? where subject = ? and done is null", (time.time(), subject))

    def spare(self, subject: str) -> None:
        """Take a mark back: something has come to need the thing, of which nothing is gone yet."""
        with self._database.write() as tx:
            tx.execute("delete from freed where subject = ? and done is null", (subject,))

    def unfinished(self) -> list[Freed]:
        """What was marked and is not gone yet, as after a kill."""
        return self._found("done is null", ())

    def freed(self, subject: str) -> Freed | None:
        """What became of a thing; None: it was never given up."""
        return next(iter(self._found("subject = ?", (subject,))), None)

    def runs(self) -> set[int]:
        """Numbers of all runs that were given up."""
        with self._database.read() as db:
            rows = db.execute("select subject from freed where kind = 'run'").fetchall()
            return {int(row["subject"].removeprefix(RUN)) for row in rows}

    def _found(self, where: str, values: tuple[str, ...]) -> list[Freed]:
        with self._database.read() as db:
            return [_freed(row) for row in db.execute(f"select * from freed where {where} order by marked", values)]


def _held(tx: Transaction) -> set[str]:
    rows = tx.execute(
        "select 'run/' || id as subject from run where state in ('queued', 'running') union "
        "select 'run/' || json_extract(options, '$.resume') from run where state in ('queued', 'running') "
        "and json_extract(options, '$.resume') is not null union "
        "select 'run/' || cause.value from run, json_each(run.options, '$.causes') as cause "
        "where run.state in ('queued', 'running') union select subject from pin"
    )
    return {str(row["subject"]) for row in rows.fetchall()}


def _freed(row: sqlite3.Row) -> Freed:
    data = json.loads(row["data"])
    return Freed(row["subject"], row["kind"], row["bytes"], row["marked"], row["by"], data, row["done"])
