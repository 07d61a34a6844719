"""Sweeps and their trials. A trial's run is the newest run that names the trial in its options."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any

from boxplat.core.errors import not_found
from boxplat.core.state.database import Database
from boxplat.core.sweeps import Plan, Sweep, SweepState, Trial, TrialState

# The plus signs keep SQLite from searching by `id`, which would read every run.
_TRIALS = """
    select trial.*, run.id as run_id, run.state as run_state, run.started, run.ended, run.tracking_run_id
    from trial left join run on run.id = (
        select max(+id) from run where json_extract(options, '$.sweep') = trial.sweep_id
        and json_extract(options, '$.trial') = trial.number and +id > trial.discarded)
    where trial.sweep_id = ? order by trial.number
"""


class Sweeps:
    """Every sweep that the box was asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, flow: str, name: str, plan: Plan, trials: Iterable[Mapping[str, str]], by: str) -> Sweep:
        """Begin a sweep with the trials that are known beforehand."""
        with self._database.write() as tx:
            row = (flow, name, json.dumps(plan.as_dict()), time.time(), by)
            cursor = tx.execute("insert into sweep (flow, name, plan, created, created_by) values (?, ?, ?, ?, ?)", row)
            sweep_id = int(cursor.lastrowid or 0)
            for number, params in enumerate(trials):
                _insert(tx.connection, sweep_id, number, params)
            told = {"flow": flow, "kind": plan.kind, "varied": list(plan.varied), "by": by}
            tx.event(f"sweep/{sweep_id}", "sweep.started", told)
        return self.get(sweep_id)

    def add_trial(self, sweep_id: int, number: int, params: Mapping[str, str]) -> None:
        """One more trial of a search."""
        with self._database.write() as tx:
            _insert(tx.connection, sweep_id, number, params)

    def get(self, sweep_id: int) -> Sweep:
        """One sweep.

        Raises:
            BoxError: there is no such sweep (exit code 9).
        """
        with self._database.read() as db:
            row = db.execute("select * from sweep where id = ?", (sweep_id,)).fetchone()
            if row is None:
                known = [str(r["id"]) for r in db.execute("select id from sweep order by id desc limit 8").fetchall()]
                raise not_found("sweep", str(sweep_id), known, "box sweeps")
            return _sweep(row)

    def all(self, limit: int = 100) -> list[Sweep]:
        """The newest sweeps first."""
        with self._database.read() as db:
            return [_sweep(row) for row in db.execute("select * from sweep order by id desc limit ?", (limit,))]

    def unfinished(self) -> list[int]:
        """Sweeps that something is still to be done for: trials, or MLflow's knowledge of their end."""
        with self._database.read() as db:
            found = db.execute("select id from sweep where state = 'running' or owed order by id").fetchall()
            return [int(row["id"]) for row in found]

    def trials(self, sweep_id: int) -> list[Trial]:
        """The trials of a sweep by number."""
        with self._database.read() as db:
            return [_trial(row) for row in db.execute(_TRIALS, (sweep_id,))]

    def settle(
        self,
        trial: Trial,
        state: TrialState,
        value: float | None = None,
        note: str = "",
        reported: Mapping[int, float] | None = None,
    ) -> bool:
        """Record what became of a trial. False: that was recorded before."""
        told = {"trial": trial.number, "run": trial.run, "value": value, "note": note}
        numbers = json.dumps({str(step): number for step, number in (reported or {}).items()})
        with self._database.write() as tx:
            done = tx.execute(
                "update trial set state = ?, value = ?, note = ?, reported = ? "
                "where sweep_id = ? and number = ? and (state is null or (state = 'pruned' and ? = 'pruned'))",
                (state, value, note, numbers, trial.sweep, trial.number, state),
            ).rowcount
            if done:
                tx.event(f"sweep/{trial.sweep}", f"trial.{state}", told)
        return bool(done)

    def begin_again(self, trials: Iterable[Trial], *, interrupted: bool) -> None:
        """Forget the outcome of trials, so that each gets another run.

        Args:
            interrupted: its run was killed, which is counted; else the count begins at 0 again.
        """
        with self._database.write() as tx:
            for trial in trials:
                tx.execute(
                    "update trial set state = null, value = null, note = '', reported = '{}', "
                    "interrupted = case when ? then interrupted + 1 else 0 end, discarded = max(discarded, ?) "
                    "where sweep_id = ? and number = ?",
                    (interrupted, trial.run or 0, trial.sweep, trial.number),
                )
                told = {"trial": trial.number, "run": trial.run, "interrupted": interrupted}
                tx.event(f"sweep/{trial.sweep}", "trial.again", told)

    def tracked(self, sweep_id: int, tracking_run_id: str) -> None:
        """Keep the MLflow run that is the parent of the trials' runs."""
        with self._database.write() as tx:
            tx.execute("update sweep set tracking_run_id = ? where id = ?", (tracking_run_id, sweep_id))

    def request_cancel(self, sweep_id: int, by: str) -> None:
        """Ask for the end of a sweep and of all its runs."""
        with self._database.write() as tx:
            tx.execute("update sweep set cancel_requested = 1 where id = ? and state = 'running'", (sweep_id,))
            tx.event(f"sweep/{sweep_id}", "sweep.cancel_requested", {"by": by})

    def end(self, sweep_id: int, state: SweepState, error: str, told: Mapping[str, Any]) -> bool:
        """Record the end of a sweep; MLflow has yet to hear of it. False: it had ended before."""
        with self._database.write() as tx:
            done = tx.execute(
                "update sweep set state = ?, error = ?, ended = ?, owed = 1 where id = ? and state = 'running'",
                (state, error, time.time(), sweep_id),
            ).rowcount
            if done:
                tx.event(f"sweep/{sweep_id}", f"sweep.{state}", told)
        return bool(done)

    def paid(self, sweep_id: int) -> None:
        """MLflow knows of the end."""
        with self._database.write() as tx:
            tx.execute("update sweep set owed = 0 where id = ?", (sweep_id,))

    def resume(self, sweep_id: int, again: Iterable[Trial], by: str) -> None:
        """Let a sweep go on, with another run for each of the given trials."""
        self.begin_again(again, interrupted=False)
        with self._database.write() as tx:
            tx.execute(
                "update sweep set state = 'running', error = '', ended = null, cancel_requested = 0, owed = 0 "
                "where id = ?",
                (sweep_id,),
            )
            tx.event(f"sweep/{sweep_id}", "sweep.resumed", {"by": by})


def _insert(connection: sqlite3.Connection, sweep_id: int, number: int, params: Mapping[str, str]) -> None:
    values = (sweep_id, number, json.dumps(dict(params)))
    connection.execute("insert into trial (sweep_id, number, params) values (?, ?, ?)", values)


def _sweep(row: sqlite3.Row) -> Sweep:
    return Sweep(
        id=row["id"],
        flow=row["flow"],
        name=row["name"],
        plan=Plan.from_dict(json.loads(row["plan"])),
        state=SweepState(row["state"]),
        created=row["created"],
        created_by=row["created_by"],
        ended=row["ended"],
        tracking_run_id=row["tracking_run_id"],
        error=row["error"],
        cancel_requested=bool(row["cancel_requested"]),
    )


def _trial(row: sqlite3.Row) -> Trial:
    return Trial(
        sweep=row["sweep_id"],
        number=row["number"],
        params=json.loads(row["params"]),
        state=TrialState(row["state"] or row["run_state"] or TrialState.WAITING),
        settled=row["state"] is not None,
        run=row["run_id"],
        tracking_run_id=row["tracking_run_id"],
        value=row["value"],
        note=row["note"],
        reported={int(step): number for step, number in json.loads(row["reported"]).items()},
        started=row["started"],
        ended=row["ended"],
        interrupted=row["interrupted"],
    )
