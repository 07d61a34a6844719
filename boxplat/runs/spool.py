"""Reading a run's spool: JSON lines that the Metaflow extension appends while the flow runs.

Every record has `kind` and `at` (seconds since the epoch). The kinds and their further fields:

- `run`: `flow`, `run` — the scheduler began (`run` is Metaflow's run id);
- `start`: `run`, `step`, `task`, `attempt`, `flow`, `stack` (one {step, var, index, value} per enclosing foreach),
  and `params` in the first step and in every task of a resumed run;
- `error`: as `start`, with `error` (one line), `traceback` and `final` (no attempt of the user's code is left);
- `end`: as `start`, with `ok`, `artifacts` (name → number, truth value, short text or flat table of numbers),
  `digests` (the artifact `data_digests`) and `feature_service`;
- `wait`: `run`, `step`, `task`, `attempt`, `why`, `estimate` (seconds since the epoch, or null) — the task waits for
  its lease before it starts;
- `clone`: `run`, `step`, `task` — a resumed run took this task over from its origin instead of running it;
- `data`: `way` (read or wrote), `name`, `path`, `step`, `files`, `bytes`, `digest` and `note` — a dataset, by content;
- `event`: `name` and `payload` — an event that a step published by Metaflow's `ArgoEvent`;
- `materialized`: `view` and `rows` — a feature view was brought online;
- `report`: `metric` (empty: whatever the sweep is judged by), `index` (the step), `value` — an intermediate value;
- `profile`: `step`, `profile` (the fields of boxplat.core.profile.Profile) and `cost` — the launcher's, of an attempt;
- `cold`: `why`, and where only one step's tasks are meant `step` — tasks are not forked but start anew;
- `launched`: `warm` — how many tasks the scheduler had forked when it ended;
- `tags`: `tags` — facts that the launcher adds (code, versions, the run that was resumed);
- `note`: `text` — the recorder's own trouble.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from boxplat.core.lines import append

__all__ = ["ATTEMPT", "Record", "Tail", "append", "parse", "records_of"]

Record = dict[str, Any]

_TASK = {"run": str, "step": str, "task": str, "attempt": int}
_FIELDS: dict[str, dict[str, type]] = {
    "run": {"flow": str, "run": str},
    "start": {**_TASK, "stack": list},
    "error": {**_TASK, "error": str, "traceback": str},
    "end": {**_TASK, "ok": bool, "artifacts": dict, "digests": dict},
    "wait": {**_TASK, "why": str},
    "clone": {"run": str, "step": str, "task": str},
    "data": {"way": str, "name": str, "digest": str},
    "event": {"name": str, "payload": dict},
    "materialized": {"view": str, "rows": int},
    "report": {"metric": str, "index": int, "value": float},
    "profile": {"step": str, "profile": dict, "cost": float},
    "cold": {"why": str},
    "launched": {"warm": int},
    "tags": {"tags": dict},
    "note": {"text": str},
}
# Of one attempt at a task, each with the fields of `_TASK`.
ATTEMPT = frozenset({"start", "error", "end"})
_DEFAULTS: dict[str, dict[str, Any]] = {"end": {"artifacts": {}, "digests": {}}}


def parse(line: bytes) -> Record | None:
    """One record, or None for anything that is not a whole and well-formed one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("at"), int | float):
        return None
    fields = _FIELDS.get(record.get("kind", "")) if isinstance(record.get("kind"), str) else None
    if fields is None:
        return None
    record = {**_DEFAULTS.get(record["kind"], {}), **record}
    whole = all(isinstance(record.get(name), kind) for name, kind in fields.items())
    stack = record.get("stack", [])
    return record if whole and isinstance(stack, list) and all(isinstance(frame, dict) for frame in stack) else None


def records_of(data: bytes) -> list[Record]:
    """The well-formed records of some whole lines."""
    return [record for line in data.split(b"\n") if line and (record := parse(line)) is not None]


class Tail:
    """Reads what was appended since the last time, whole lines only.

    Args:
        path: may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._run: str | None = None

    def read(self) -> list[Record]:
        """The new records of the spool's own run."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        records = records_of(whole)
        if self._run is None:
            self._run = next((record["run"] for record in records if record["kind"] == "run"), None)
        # A flow that a task starts itself inherits our spool, but is another run.
        return [record for record in records if "run" not in record or self._run in (None, record["run"])]
