"""What starts flows by itself: which times and events each flow has seen, so that none starts it twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxplat.core.state.database import Database, Transaction


@dataclass(frozen=True, slots=True)
class Watched:
    """A flow that starts by itself.

    `spec` is what starts it, as text; `problem` why it cannot. Due times up to `counted` are decided, and events up to
    `heard`. `due` and `run_id` are those of the last start, by a time or by an event.
    """

    flow: str
    name: str
    spec: str
    present: bool
    paused: bool
    problem: str
    counted: float
    heard: int
    due: float | None
    run_id: int | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An awaited event that has come and has not started its flow yet.

    `pathspec` is Metaflow's of the run whose end it is; `run_id` is the run that caused it.
    """

    flow: str
    name: str
    event: int
    at: float
    payload: Mapping[str, Any]
    pathspec: str = ""
    run_id: int | None = None


class DecidedError(Exception):
    """A due time has been decided before, or an event has started its flow already."""


class Schedules:
    """The flows of a box that start by themselves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Watched]:
        """Every flow that was ever seen, by its file."""
        with self._database.read() as db:
            return {row["flow"]: _watched(row) for row in db.execute("select * from schedule order by flow").fetchall()}

    def settle(self, found: Mapping[str, tuple[str, str, str]], now: float) -> None:
        """Make what was found in the files (name, spec, problem by file) what holds.

        One that is new, or has changed, counts from `now` on.
        """
        known = self.all()
        with self._database.write() as tx:
            heard = int(tx.execute("select coalesce(max(id), 0) from event").fetchone()[0])
            for flow in sorted(known.keys() | found.keys()):
                self._settle(tx, flow, known.get(flow), found.get(flow), now, heard)

    def _settle(
        self,
        tx: Transaction,
        flow: str,
        was: Watched | None,
        found: tuple[str, str, str] | None,
        now: float,
        heard: int,
    ) -> None:
        if found is None:
            if was is not None and was.present:
                tx.execute("update schedule set present = 0 where flow = ?", (flow,))
                tx.execute("delete from arrival where flow = ?", (flow,))
                tx.event("schedule", "schedule.removed", {"flow": flow})
            return
        name, spec, problem = found
        if was is None:
            tx.execute(
                "insert into schedule (flow, name, spec, problem, counted, heard) values (?, ?, ?, ?, ?, ?)",
                (flow, name, spec, problem, now, heard),
            )
        elif (was.name, was.spec, was.present) != (name, spec, True):
            tx.execute(
                "update schedule set name = ?, spec = ?, problem = ?, present = 1, counted = ?, heard = ? "
                "where flow = ?",
                (name, spec, problem, now, heard, flow),
            )
            tx.execute("delete from arrival where flow = ?", (flow,))
        elif was.problem != problem:
            tx.execute("update schedule set problem = ? where flow = ?", (problem, flow))
        else:
            return
        kind = "schedule.refused" if problem else "schedule.set"
        tx.event("schedule", kind, {"flow": flow, "name": name, "starts": spec} | ({"why": problem} if problem else {}))

    def forget(self) -> None:
        """Nobody has looked at the clock since: all count anew when somebody does."""
        if any(row.present for row in self.all().values()):
            with self._database.write() as tx:
                tx.execute("update schedule set present = 0")
                tx.execute("delete from arrival")

    def pause(self, flow: str, paused: bool, now: float, by: str) -> None:
        """Pause a flow, or let it count from `now` on."""
        with self._database.write() as tx:
            tx.execute(
                "update schedule set paused = ?, counted = ?, heard = (select coalesce(max(id), 0) from event) "
                "where flow = ?",
                (paused, now, flow),
            )
            tx.execute("delete from arrival where flow = ?", (flow,))
            tx.event("schedule", "schedule.paused" if paused else "schedule.resumed", {"flow": flow, "by": by})

    # -- times ---------------------------------------------------------------------------------------------------

    def decided(self, flow: str, dues: Sequence[float]) -> set[float]:
        """Which of some due times were decided before."""
        marks = ", ".join("?" * len(dues))
        with self._database.read() as db:
            rows = db.execute(f"select due from firing where flow = ? and due in ({marks})", (flow, *dues))
            return {row["due"] for row in rows.fetchall()}

    def count(self, flow: str, until: float) -> None:
        """Note that every due time up to `until` is decided."""
        with self._database.write() as tx:
            tx.execute("update schedule set counted = ? where flow = ?", (until, flow))

    def skip(self, flow: str, due: float, now: float, why: str) -> None:
        """Decide that a due time starts nothing."""
        with self._database.write() as tx:
            decide(tx, flow, due, now, None, why)
            tx.event("schedule", "schedule.skipped", {"flow": flow, "due": due, "why": why})

    def firings(self, flow: str) -> list[tuple[float, int | None, str]]:
        """Every decided due time with the run that it started, or why it started none; ascending."""
        with self._database.read() as db:
            rows = db.execute("select due, run_id, why from firing where flow = ? order by due", (flow,)).fetchall()
            return [(row["due"], row["run_id"], row["why"]) for row in rows]

    # -- events --------------------------------------------------------------------------------------------------

    def hear(self, until: int, arrivals: Collection[Arrival]) -> None:
        """Keep what has come for its flows, the newest of each name, and note that events up to `until` were heard."""
        with self._database.write() as tx:
            for one in arrivals:
                tx.execute(
                    "insert or replace into arrival (flow, name, event, at, payload, pathspec, run_id) "
                    "values (?, ?, ?, ?, ?, ?, ?)",
                    (one.flow, one.name, one.event, one.at, json.dumps(dict(one.payload)), one.pathspec, one.run_id),
                )
            tx.execute("update schedule set heard = ? where heard < ?", (until, until))

    def arrivals(self) -> dict[str, list[Arrival]]:
        """What has come and started nothing yet, by flow."""
        found: dict[str, list[Arrival]] = {}
        with self._database.read() as db:
            for row in db.execute("select * from arrival order by flow, event").fetchall():
                found.setdefault(row["flow"], []).append(_arrival(row))
        return found

    def drop(self, flow: str, why: str = "") -> None:
        """Forget what has come for a flow; with a reason, that is told."""
        with self._database.write() as tx:
            rows = tx.execute("delete from arrival where flow = ? returning name, event", (flow,)).fetchall()
            if rows and why:
                events = {row["name"]: row["event"] for row in rows}
                tx.event("schedule", "schedule.skipped", {"flow": flow, "events": events, "why": why})


def decide(tx: Transaction, flow: str, due: float, now: float, run_id: int | None, why: str = "") -> None:
    """Note what a due time came to, in the transaction that queues its run.

    Raises:
        DecidedError: it was decided before.
    """
    fresh = tx.execute(
        "insert or ignore into firing (flow, due, at, run_id, why) values (?, ?, ?, ?, ?)",
        (flow, due, now, run_id, why),
    ).rowcount
    if not fresh:
        raise DecidedError(flow, due)
    tx.execute("update schedule set counted = ? where flow = ?", (due, flow))
    if run_id is not None:
        tx.execute("update schedule set due = ?, run_id = ? where flow = ?", (due, run_id, flow))


def use(tx: Transaction, arrivals: Sequence[Arrival], now: float, run_id: int) -> None:
    """Take what has come for the run that it starts, in the transaction that queues it.

    Raises:
        DecidedError: another one took it, or something newer has come in its place.
    """
    for one in arrivals:
        taken = tx.execute(
            "delete from arrival where flow = ? and name = ? and event = ?", (one.flow, one.name, one.event)
        ).rowcount
        if not taken:
            raise DecidedError(one.flow, one.name)
    tx.execute("update schedule set due = ?, run_id = ? where flow = ?", (now, run_id, arrivals[0].flow))


def _watched(row: sqlite3.Row) -> Watched:
    return Watched(**{**dict(row), "present": bool(row["present"]), "paused": bool(row["paused"])})


def _arrival(row: sqlite3.Row) -> Arrival:
    return Arrival(**{**dict(row), "payload": json.loads(row["payload"])})
