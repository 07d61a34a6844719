"""Sending one run's records to MLflow, so that any part of it may be repeated after a crash without harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from boxplat.adapters import flows
from boxplat.adapters.tracking_api import TrackingApi, TrackingRefusedError
from boxplat.core.environment import user
from boxplat.core.model import Run, RunState
from boxplat.runs import batches
from boxplat.runs.spool import Record

STATUS = {RunState.SUCCEEDED: "FINISHED", RunState.FAILED: "FAILED", RunState.CANCELLED: "KILLED"}
LARGEST_CARD = 64 * 2**20
MOST_TRACEBACKS = 20


class Shipment:
    """One run's way into MLflow: `open`, then `take` and `flush` as records come, then `close`.

    Nothing here is written down: whoever begins again replays the spool. The MLflow run is looked up by its identity
    tag before one is made, its children by their task, and logging the same values twice changes nothing.

    Args:
        identity: names the run among all boxes that share the server.
        metaflow: Metaflow's local root, where the cards are.
        refused: called with a line for whatever the server will not take.
        lineage: gives further tags of a new MLflow run, such as the run that is its parent.
    """

    def __init__(
        self,
        run: Run,
        identity: str,
        metaflow: Path,
        refused: Callable[[str], None],
        lineage: Callable[[TrackingApi], Mapping[str, str]] | None = None,
    ) -> None:
        self._run = run
        self._identity = identity
        self._metaflow = metaflow
        self._refused = refused
        self._lineage = lineage
        self._pending: list[tuple[int, Record]] = []
        self._tally = batches.Tally()
        self._params: dict[str, str] = {}
        self._children: dict[str, str] = {}
        self._tracebacks = 0
        self._experiment = ""
        self._artifacts = ""
        self.run_id: str | None = None

    def open(self, api: TrackingApi) -> str:
        """Find or start the MLflow run in the experiment that has the flow's name, and return its id.

        Raises:
            TrackingDownError: try again later.
            TrackingRefusedError: this run cannot be tracked there.
        """
        if self.run_id is not None:
            return self.run_id
        self._experiment = api.experiment(self._run.name)
        found = api.search(self._experiment, f"tags.`boxplat.identity` = '{self._identity}'", limit=1)
        entry = found[0] if found else self._create(api)
        run_id = str(entry["info"]["run_id"])
        if found:
            children = api.search(self._experiment, f"tags.`mlflow.parentRunId` = '{run_id}'")
            self._children = {_tag(child, "boxplat.task"): str(child["info"]["run_id"]) for child in children}
        self._artifacts = str(entry["info"]["artifact_uri"])
        self.run_id = run_id
        return run_id

    def take(self, records: Iterable[Record]) -> None:
        """Accept records for the next flush; each once, in the spool's order."""
        for record in records:
            self._tally.take(record)
            self._pending.append((self._tally.count, record))

    def flush(self, api: TrackingApi) -> None:
        """Send everything taken. After an error all of it is still there for the next call.

        Raises:
            TrackingDownError: try again later.
        """
        if not self._pending:
            return
        batch = batches.Batch()
        for number, record in self._pending:
            batch.add(batches.facts(record))
            if record["kind"] == "end":
                self._task_ended(api, record, number, batch)
            elif record["kind"] == "error":
                self._traceback(api, record)
        batch.params = {name: value for name, value in batch.params.items() if name not in self._params}
        self._log(api, self.open(api), batch)
        self._params.update(batch.params)
        self._pending.clear()

    def close(self, api: TrackingApi, run: Run) -> None:
        """Flush, and give the MLflow run its final status.

        Raises:
            TrackingDownError: try again later.
        """
        self.flush(api)
        run_id = self.open(api)
        ended = run.ended or run.created
        summary = batches.summary(self._tally, ended, run.started or run.created)
        if run.error:
            summary.tags["boxplat.error"] = run.error[: batches.LONGEST_TAG]
            self._upload(api, "failure.txt", run.error.encode())
        self._log(api, run_id, summary)
        self._attempt("the final status", lambda: api.end(run_id, STATUS[run.state], ended))

    def _create(self, api: TrackingApi) -> dict[str, dict[str, object]]:
        run = self._run
        tags = {
            "boxplat.identity": self._identity,
            "boxplat.run_id": str(run.id),
            "mlflow.source.name": run.flow,
            "mlflow.source.type": "LOCAL",
            "mlflow.user": user(),
            **(self._lineage(api) if self._lineage else {}),
        }
        return api.create(self._experiment, f"{run.name}-{run.id}", run.started or run.created, tags)

    def _task_ended(self, api: TrackingApi, record: Record, number: int, batch: batches.Batch) -> None:
        task = batches.task_key(record)
        start = self._tally.starts.get(task)
        found = batches.results(record, number)
        if start is None or not start["stack"]:
            batch.add(found)
        elif found.metrics or found.tags or not record["ok"]:
            if task in self._children or len(self._children) < batches.MOST_CHILDREN:
                self._child(api, start, record, found)
            else:
                batch.tags["boxplat.children_left_out"] = "true"
        self._cards(api, record)

    def _child(self, api: TrackingApi, start: Record, record: Record, found: batches.Batch) -> None:
        """A nested run for one task of a foreach."""
        task = batches.task_key(record)
        if task not in self._children:
            index = batches.index_text(start["stack"])
            tags = {
                "mlflow.parentRunId": self.open(api),
                "boxplat.task": task,
                "boxplat.step": record["step"],
                "boxplat.index": index,
                "boxplat.value": str(start["stack"][-1].get("value", "")),
                "metaflow.pathspec": f"{self._run.name}/{record['run']}/{task}",
            }
            child = api.create(self._experiment, f"{record['step']}[{index}]", start["at"], tags)
            self._children[task] = str(child["info"]["run_id"])
        child_id = self._children[task]
        found.tags["boxplat.attempts"] = str(record["attempt"] + 1)
        self._log(api, child_id, found)
        status = "FINISHED" if record["ok"] else "FAILED"
        self._attempt(f"the status of {task}", lambda: api.end(child_id, status, record["at"]))

    def _cards(self, api: TrackingApi, record: Record) -> None:
        paths = flows.cards(self._metaflow, self._run.name, record["run"], record["step"], record["task"])
        for path in paths:
            if path.stat().st_size <= LARGEST_CARD:
                self._upload(api, f"cards/{record['step']}-{record['task']}-{path.name}", path.read_bytes())

    def _traceback(self, api: TrackingApi, record: Record) -> None:
        self._tracebacks += 1
        if self._tracebacks <= MOST_TRACEBACKS:
            name = f"failures/{record['step']}-{record['task']}-attempt-{record['attempt']}.txt"
            self._upload(api, name, record["traceback"].encode())

    def _upload(self, api: TrackingApi, path: str, content: bytes) -> None:
        self.open(api)
        self._attempt(path, lambda: api.upload(self._artifacts, path, content))

    def _log(self, api: TrackingApi, run_id: str, batch: batches.Batch) -> None:
        if batch.params or batch.tags or batch.metrics:
            what = ", ".join([*batch.params, *batch.tags, *(metric[0] for metric in batch.metrics)])
            self._attempt(what, lambda: api.log(run_id, params=batch.params, tags=batch.tags, metrics=batch.metrics))

    def _attempt(self, what: str, call: Callable[[], None]) -> None:
        """A request that the server may refuse: repeating it would change nothing, so it is reported and let go."""
        try:
            call()
        except TrackingRefusedError as error:
            self._refused(f"tracking refused {what[:200]}: {error}")


def _tag(entry: dict[str, dict[str, list[dict[str, str]]]], name: str) -> str:
    tags = entry.get("data", {}).get("tags", [])
    return next((tag["value"] for tag in tags if tag["key"] == name), "")
