"""Keeping a run's tasks in the state current, from the records of its spool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from boxplat.core.model import RunState, Task
from boxplat.core.state import StateStore
from boxplat.runs import batches, datasets
from boxplat.runs.spool import ATTEMPT, Record

TRACEBACK_LINES = 12


class Progress:
    """What the records of one run have shown so far."""

    def __init__(self, state: StateStore, run_id: int) -> None:
        self._state = state
        self._run_id = run_id
        self._tasks: dict[str, Task] = {}
        self._failures: dict[str, str] = {}
        # Rows by feature view that the run brought online.
        self.materialized: dict[str, int] = {}

    @property
    def failure(self) -> str | None:
        """Why the last step that failed for good did so."""
        return next(reversed(self._failures.values()), None)

    def take(self, records: Iterable[Record]) -> None:
        for record in records:
            if record["kind"] == "run":
                self._state.runs.update(self._run_id, pathspec=f"{record['flow']}/{record['run']}")
            elif record["kind"] == "clone":
                self._cloned(record)
            elif record["kind"] == "wait":
                self._waits(record)
            elif record["kind"] == "materialized":
                view = record["view"]
                self.materialized[view] = self.materialized.get(view, 0) + record["rows"]
            elif record["kind"] == "event":
                self._published(record)
            elif record["kind"] in ATTEMPT:
                self._moved(record)
            self._state.datasets.add(self._run_id, datasets.told(record))

    def _published(self, record: Record) -> None:
        from boxplat.runs.schedules.publishing import append

        append(self._state, record["name"], record["payload"], f"run/{self._run_id}")

    def _cloned(self, record: Record) -> None:
        at = record["at"]
        self._put(Task(self._run_id, record["step"], record["task"], 0, RunState.SUCCEEDED, at, at))

    def _waits(self, record: Record) -> None:
        task = self._tasks.get(batches.task_key(record))
        if task is None:
            task = Task(self._run_id, record["step"], record["task"], record["attempt"], RunState.QUEUED, record["at"])
        self._put(replace(task, attempt=record["attempt"], state=RunState.QUEUED, waits=record["why"]))

    def _moved(self, record: Record) -> None:
        key = batches.task_key(record)
        task = self._tasks.get(key)
        if task is None or record["kind"] == "start":
            stack = record.get("stack") or []
            index = stack[-1].get("index") if stack else None
            began = task.started if task is not None and record["attempt"] else record["at"]
            task = Task(
                run_id=self._run_id,
                step=record["step"],
                task=record["task"],
                attempt=record["attempt"],
                state=RunState.RUNNING,
                started=began,
                index=index if isinstance(index, int) else None,
            )
        if record["kind"] == "error":
            task = replace(task, error=record["error"].partition("\n")[0])
            if record.get("final", True):
                self._failures[key] = _failure(record)
        elif record["kind"] == "end":
            done = RunState.SUCCEEDED if record["ok"] else RunState.FAILED
            if record["ok"]:
                self._failures.pop(key, None)
            task = replace(task, state=done, ended=record["at"])
        self._put(task)

    def _put(self, task: Task) -> None:
        self._tasks[f"{task.step}/{task.task}"] = task
        self._state.runs.upsert_task(task)


def close_tasks(state: StateStore, run_id: int, ended: RunState, at: float) -> None:
    """Tasks that never reported their end share the end of their run."""
    left = RunState.CANCELLED if ended is RunState.CANCELLED else RunState.FAILED
    for task in state.runs.tasks(run_id):
        if not task.state.over:
            state.runs.upsert_task(replace(task, state=left, ended=at, waits=""))


def _failure(record: Record) -> str:
    first = record["error"].partition("\n")[0]
    lines = [line for line in record["traceback"].splitlines() if line.strip()]
    return "\n".join([f"step {record['step']} (task {record['task']}) failed: {first}", *lines[-TRACEBACK_LINES:]])
