"""Runs and their tasks."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import Run, RunState, Task
from boxplat.core.paths import Paths
from boxplat.core.state.database import Database, Transaction

_FIELDS = frozenset(
    {"state", "started", "ended", "pid", "pid_started", "pathspec", "tracking_run_id", "exit_code", "error"}
)


class Runs:
    """Every execution of a flow that the box was asked for."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self._database = database
        self._paths = paths

    def add(
        self,
        flow: str,
        name: str,
        params: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
        by: str = "sdk",
        priority: str = "interactive",
        also: Callable[[Transaction, int], None] | None = None,
    ) -> Run:
        """Queue a run.

        Args:
            flow: the file, relative to the project.
            name: the flow's class name.
            options: what else the launcher needs (resume, max_workers, tags…).
            priority: interactive or batch; it is the last in the line of those.
            also: what is to be written in the same transaction, with the run's number; if it raises, nothing is queued.

        Raises:
            BoxError: it resumes a run that was freed (exit code 2).
        """
        # A state file that was started afresh must not hand out the number of a run whose folder is still there.
        used = max((int(folder.name) for folder in self._paths.runs.iterdir() if folder.name.isdecimal()), default=0)
        with self._database.write() as tx:
            cursor = tx.execute(
                "insert into run (id, flow, name, state, params, options, created, priority, position) "
                "values ((select max(coalesce(max(id), 0), ?) + 1 from run), ?, ?, 'queued', ?, ?, ?, ?, "
                "(select coalesce(max(position), 0) + 1 from run))",
                (used, flow, name, json.dumps(dict(params)), json.dumps(dict(options or {})), time.time(), priority),
            )
            run_id = int(cursor.lastrowid or 0)
            told = {"flow": flow, "params": dict(params), "by": by, "priority": priority}
            tx.event(f"run/{run_id}", "run.queued", told)
            if also is not None:
                also(tx, run_id)
            _must_be_there(tx, (options or {}).get("resume"))
        return self.get(run_id)

    def get(self, run_id: int) -> Run:
        """One run.

        Raises:
            BoxError: there is no such run (exit code 9).
        """
        with self._database.read() as db:
            row = db.execute("select * from run where id = ?", (run_id,)).fetchone()
            if row is None:
                known = [str(r["id"]) for r in db.execute("select id from run order by id desc limit 8").fetchall()]
                raise not_found("run", str(run_id), known, "box runs")
            return self._run(row)

    def all(self, limit: int = 100) -> list[Run]:
        """The newest runs first."""
        with self._database.read() as db:
            rows = db.execute("select * from run order by id desc limit ?", (limit,)).fetchall()
            return [self._run(row) for row in rows]

    def active(self) -> list[Run]:
        """Runs that are queued or running, in line: interactive ones before those of batch, then by position."""
        with self._database.read() as db:
            rows = db.execute(
                "select * from run where state in ('queued', 'running') "
                "order by case priority when 'batch' then 1 else 0 end, position, id"
            ).fetchall()
            return [self._run(row) for row in rows]

    def tracked_as(self, tracking_run_id: str) -> Run | None:
        """The run that has this tracking run."""
        with self._database.read() as db:
            row = db.execute("select * from run where tracking_run_id = ?", (tracking_run_id,)).fetchone()
            return self._run(row) if row else None

    def numbers(self, tracking_run_ids: Collection[str | None]) -> dict[str, int]:
        """The runs that have these tracking runs, by them."""
        wanted = json.dumps([one for one in tracking_run_ids if one])
        with self._database.read() as db:
            rows = db.execute(
                "select tracking_run_id, id from run where tracking_run_id in (select value from json_each(?))",
                (wanted,),
            )
            return {row["tracking_run_id"]: row["id"] for row in rows.fetchall()}

    def done_before(self, fingerprint: str) -> Run | None:
        """The newest run that succeeded with this fingerprint of code and parameters."""
        with self._database.read() as db:
            row = db.execute(
                "select * from run where state = 'succeeded' and json_extract(options, '$.fingerprint') = ? "
                "and 'run/' || id not in (select subject from freed) "
                "order by id desc limit 1",
                (fingerprint,),
            ).fetchone()
            return self._run(row) if row else None

    def latest(self, name: str, state: RunState) -> Run | None:
        """The newest run of a flow, by its class name, that is in a state."""
        with self._database.read() as db:
            row = db.execute(
                "select * from run where name = ? and state = ? order by id desc limit 1", (name, state)
            ).fetchone()
            return self._run(row) if row else None

    def pid_started(self, run_id: int) -> float | None:
        """When the recorded launcher process began, to tell it from a later one with the same pid."""
        with self._database.read() as db:
            row = db.execute("select pid_started from run where id = ?", (run_id,)).fetchone()
            return row["pid_started"] if row else None

    def claim(self, run_id: int, pid: int, pid_started: float) -> bool:
        """Take a queued run for the launcher process that calls. False: another one has it, or it is over."""
        with self._database.write() as tx:
            taken = tx.execute(
                "update run set state = 'running', started = ?, pid = ?, pid_started = ? "
                "where id = ? and state = 'queued' and not cancel_requested",
                (time.time(), pid, pid_started, run_id),
            ).rowcount
            if taken:
                tx.event(f"run/{run_id}", "run.started", {"pid": pid})
        return bool(taken)

    def update(self, run_id: int, event: str | None = None, **fields: Any) -> bool:
        """Change a run that is not over, and record why. Returns False when it was over already.

        Args:
            fields: any of state, started, ended, pid, pid_started, pathspec, tracking_run_id, exit_code, error.
                `tracking_run_id` and `pathspec` may still be filled in after the end.
        """
        unknown = fields.keys() - _FIELDS
        if unknown:
            raise ValueError(f"no such field of a run: {sorted(unknown)}")
        late = fields.keys() <= {"tracking_run_id", "pathspec"}
        sets = ", ".join(f"{key} = :{key}" for key in fields)
        guard = "" if late else " and state in ('queued', 'running')"
        with self._database.write() as tx:
            changed = tx.execute(f"update run set {sets} where id = :id{guard}", {**fields, "id": run_id}).rowcount
            if changed and event:
                tx.event(f"run/{run_id}", event, {key: fields[key] for key in fields if key != "pid_started"})
        return bool(changed)

    def request_cancel(self, run_id: int, by: str) -> None:
        """Ask for the end of a run; a queued one is cancelled at once."""
        with self._database.write() as tx:
            tx.execute("update run set cancel_requested = 1 where id = ? and state in ('queued', 'running')", (run_id,))
            queued = tx.execute(
                "update run set state = 'cancelled', ended = ? where id = ? and state = 'queued' and pid is null",
                (time.time(), run_id),
            ).rowcount
            tx.event(f"run/{run_id}", "run.cancelled" if queued else "run.cancel_requested", {"by": by})

    def upsert_task(self, task: Task) -> None:
        """Record a task's latest attempt."""
        values = asdict(task)
        values["foreach_index"] = values.pop("index")
        with self._database.write() as tx:
            tx.execute(
                "insert or replace into task "
                "(run_id, step, task, attempt, state, started, ended, foreach_index, error, waits) "
                "values (:run_id, :step, :task, :attempt, :state, :started, :ended, :foreach_index, :error, :waits)",
                values,
            )

    def tasks(self, run_id: int) -> list[Task]:
        """The tasks of a run in the order in which they started."""
        with self._database.read() as db:
            rows = db.execute("select * from task where run_id = ? order by started, task", (run_id,)).fetchall()
            return [_task(row) for row in rows]

    def _run(self, row: sqlite3.Row) -> Run:
        return Run(
            id=row["id"],
            flow=row["flow"],
            name=row["name"],
            state=RunState(row["state"]),
            params=json.loads(row["params"]),
            created=row["created"],
            started=row["started"],
            ended=row["ended"],
            pid=row["pid"],
            pathspec=row["pathspec"],
            tracking_run_id=row["tracking_run_id"],
            exit_code=row["exit_code"],
            error=row["error"],
            log=str(self._paths.run_log(row["id"])),
            options=json.loads(row["options"]),
            cancel_requested=bool(row["cancel_requested"]),
            priority=row["priority"],
            position=row["position"],
            held=bool(row["held"]),
        )


def _must_be_there(tx: Transaction, origin: int | None) -> None:
    """Refuse to resume what `box gc` gave up since somebody looked."""
    if origin is None or not tx.execute("select 1 from freed where subject = ?", (f"run/{origin}",)).fetchone():
        return
    raise BoxError(
        f"cannot resume run {origin}", why="box gc has freed its artifacts", fix="box runs", code=ExitCode.USAGE
    )


def _task(row: sqlite3.Row) -> Task:
    return Task(
        run_id=row["run_id"],
        step=row["step"],
        task=row["task"],
        attempt=row["attempt"],
        state=RunState(row["state"]),
        started=row["started"],
        ended=row["ended"],
        index=row["foreach_index"],
        error=row["error"],
        waits=row["waits"],
    )
