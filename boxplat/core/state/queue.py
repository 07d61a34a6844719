"""The places of runs in line: who is held, who goes before whom."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, not_found
from boxplat.core.state.database import Database, Transaction

if TYPE_CHECKING:
    from boxplat.core.model import Run

_WAITING = "state in ('queued', 'running')"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A run's place in line, as its tasks ask for it."""

    priority: str
    position: float
    held: bool


class Queue:
    """What the verbs of `box queue` change; each change is an event of the run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ticket(self, run_id: int) -> Ticket | None:
        """A run's place; None when there is no such run."""
        with self._database.read() as db:
            row = db.execute("select priority, position, held from run where id = ?", (run_id,)).fetchone()
        return Ticket(row["priority"], row["position"], bool(row["held"])) if row else None

    def hold(self, run_id: int, held: bool, by: str) -> bool:
        """Keep a run from starting steps, or let it go on. False: it was so already.

        Raises:
            BoxError: no such run (exit code 9), or it is over (1).
        """
        with self._database.write() as tx:
            if bool(_active(tx, run_id)["held"]) == held:
                return False
            tx.execute("update run set held = ? where id = ?", (int(held), run_id))
            tx.event(f"run/{run_id}", "run.held" if held else "run.released", {"by": by})
        return True

    def move(self, run_id: int, before: int | None, last: bool, by: str, step: int = 0) -> int:
        """Give a run another place among those of its priority: before `before`, the last, else the first.

        Args:
            step: -1 or 1: past the nearest queued run before it, or behind it; the first or the last without one.

        Returns:
            its place among those of its priority, from 1 on.

        Raises:
            BoxError: no such run (exit code 9), one is over, or the two are of different priorities (1).
        """
        with self._database.write() as tx:
            row = _active(tx, run_id)
            if before is not None:
                _same_class(row, _active(tx, before))
            line = tx.execute(
                f"select id, state, position from run where {_WAITING} and priority = ? order by position, id",
                (row["priority"],),
            ).fetchall()
            order = [one["id"] for one in line if one["id"] != run_id]
            place = order.index(before) if before in order else len(order) if last else 0
            if step:
                place = _beside(line, run_id, step)
            order.insert(place, run_id)
            # The same places, dealt out anew.
            for number, one in zip(order, line, strict=True):
                tx.execute("update run set position = ? where id = ?", (one["position"], number))
            tx.event(f"run/{run_id}", "run.moved", {"by": by, "place": place + 1})
        return place + 1

    def put_back(self, run_id: int, why: str) -> bool:
        """Queue a run again whose launcher ended before its first step."""
        with self._database.write() as tx:
            done = tx.execute(
                "update run set state = 'queued', started = null, pid = null, pid_started = null "
                "where id = ? and state = 'running' and pathspec is null and not cancel_requested",
                (run_id,),
            ).rowcount
            if done:
                tx.event(f"run/{run_id}", "run.queued", {"why": why})
        return bool(done)


def _active(tx: Transaction, run_id: int) -> sqlite3.Row:
    row: sqlite3.Row | None = tx.execute(
        "select id, state, priority, position, held from run where id = ?", (run_id,)
    ).fetchone()
    if row is None:
        known = tx.execute(f"select id from run where {_WAITING} order by id").fetchall()
        raise not_found("run", str(run_id), [str(one["id"]) for one in known], "box queue")
    if row["state"] not in ("queued", "running"):
        raise BoxError(
            f"run {run_id} is over already: {row['state']}",
            why="only a queued or running run has a place in line",
            fix="box queue",
        )
    return row


def _beside(line: Sequence[sqlite3.Row], run_id: int, step: int) -> int:
    """The place, among the others, past the nearest queued run in one direction; the end of the line without one."""
    here = next(place for place, one in enumerate(line) if one["id"] == run_id)
    queued = [place for place, one in enumerate(line) if one["state"] == "queued"]
    if step < 0:
        return max((place for place in queued if place < here), default=0)
    return min((place for place in queued if place > here), default=len(line) - 1)


def _same_class(row: sqlite3.Row, other: sqlite3.Row) -> None:
    if row["priority"] != other["priority"]:
        raise BoxError(
            f"run {row['id']} cannot go before run {other['id']}",
            why=f"run {row['id']} is {row['priority']}, run {other['id']} is {other['priority']}: "
            "interactive runs go before batch runs, whatever their places",
            fix="box queue",
        )


def taking_over(cut_off: Run, why: str) -> Callable[[Transaction, int], None]:
    """What `Runs.add` is to write besides a run that goes on with one that failed: it has that one's place in line."""

    def also(tx: Transaction, number: int) -> None:
        error = f"{why}; run {number} goes on where it stopped"
        tx.execute("update run set position = ? where id = ?", (cut_off.position, number))
        tx.execute(
            f"update run set state = 'failed', ended = ?, error = ? where id = ? and {_WAITING}",
            (time.time(), error, cut_off.id),
        )
        tx.event(f"run/{cut_off.id}", "run.failed", {"error": error})

    return also
