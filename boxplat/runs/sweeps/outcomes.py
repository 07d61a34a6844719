"""What a trial came to: its metric as MLflow has it, and the intermediate values on the way."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import batches
from boxplat.runs.links import tracking_url
from boxplat.runs.outbox import ANSWER, Unsent, spool_path
from boxplat.runs.spool import Record, Tail
from boxplat.runs.sweeps.parent import logged_by

# How long a trial that is over waits for a tracking server that does not answer; then its own records must do.
PATIENCE = 60.0
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value of a metric; without one `note` says why. `missing`: MLflow does not have it on the trial's own run."""

    value: float | None
    note: str = ""
    missing: bool = False


@dataclass(slots=True)
class Series:
    """The intermediate values of one run, by step; of several at a step the last one counts."""

    tail: Tail
    metric: str
    values: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Paths, run_id: int, metric: str) -> Series:
        return cls(Tail(spool_path(paths.run_dir(run_id))), metric)

    def read(self) -> dict[int, float]:
        """All that `boxplat.report` has told by now."""
        for record in self.tail.read():
            if record["kind"] == "report" and record["metric"] in (self.metric, ""):
                self.values[record["index"]] = record["value"]
        return self.values


def outcome(state: StateStore, paths: Paths, run: Run, metric: str, reported: Mapping[int, float]) -> Outcome | None:
    """What a run that has succeeded came to. None: it is not in MLflow yet.

    The metric of the run itself counts, else that of the MLflow runs that its flow made, else the last reported value.

    Args:
        reported: intermediate values by step.
    """
    url = tracking_url(state)
    waited = time.time() - (run.ended or run.created) >= PATIENCE
    there = run.tracking_run_id is not None and not Unsent(paths.run_dir(run.id)).marked()
    # Refused: somebody has deleted it there.
    with contextlib.suppress(TrackingDownError, TrackingRefusedError):
        if url is not None and run.tracking_run_id is not None and (there or waited):
            found = _tracked(TrackingApi(url, ANSWER), state, run, run.tracking_run_id, metric)
            if found is not None:
                return found
            # A run that goes on with another may have its metric from there, which MLflow may not have got yet.
            local = _judged(_recorded_whole(state, paths, run), metric, reported)
            return replace(local, missing=local.value is not None)
    return _judged(_recorded_whole(state, paths, run), metric, reported) if waited else None


def logged(api: TrackingApi, state: StateStore, run: Run, metric: str) -> dict[int, float]:
    """The values by step that an unmodified flow has logged under the metric's name with MLflow itself.

    Raises:
        TrackingDownError, TrackingRefusedError: MLflow does not say.
    """
    found: dict[int, float] = {}
    for run_id in [*([run.tracking_run_id] if run.tracking_run_id else []), *_inner(api, state, run.id)]:
        for entry in api.history(run_id, batches.key(metric)):
            found[int(entry.get("step", 0))] = float(entry["value"])
    return found


def _tracked(api: TrackingApi, state: StateStore, run: Run, run_id: str, metric: str) -> Outcome | None:
    """What MLflow has under the metric's name, on the trial's own run or on those that its flow made."""
    metrics = _metrics(api.run(run_id))
    key = batches.key(metric)
    if key in metrics:
        return _judged(metrics, metric, {})
    for one in whole(state, run):
        entries = [entry for inner in _inner(api, state, one.id) for entry in api.history(inner, key)]
        if entries:
            newest = max(entries, key=lambda entry: (int(entry["timestamp"]), int(entry.get("step", 0))))
            found = _judged({key: float(newest["value"])}, metric, {})
            return replace(found, missing=found.value is not None)
    return None


def whole(state: StateStore, run: Run) -> list[Run]:
    """A run and, where it goes on with what another had finished, that one and so on."""
    runs = [run]
    while runs[-1].options.get("resume") is not None:
        runs.append(state.runs.get(int(runs[-1].options["resume"])))
    return runs


def _recorded_whole(state: StateStore, paths: Paths, run: Run) -> dict[str, float]:
    """The metrics of a run and of those that it goes on with; the newer ones count."""
    found: dict[str, float] = {}
    for one in reversed(whole(state, run)):
        found |= recorded(paths, one.id)
    return found


def _inner(api: TrackingApi, state: StateStore, run_id: int) -> list[str]:
    """The MLflow runs that the flow of a trial started by itself, in whatever experiment."""
    where = f"tags.`boxplat.logged_by` = '{logged_by(state, run_id)}'"
    return [str(entry["info"]["run_id"]) for entry in api.search(api.experiments(), where)]


def _judged(metrics: Mapping[str, float], metric: str, reported: Mapping[int, float]) -> Outcome:
    value = metrics.get(batches.key(metric))
    if value is None and reported:
        value = reported[max(reported)]
    if value is None:
        known = ", ".join(sorted(metrics)[:_NAMED]) or "none"
        return Outcome(None, f"no metric {metric!r}; there are: {known}")
    return Outcome(value) if math.isfinite(value) else Outcome(None, f"{metric} is {value}")


def _metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    return {str(metric["key"]): float(metric["value"]) for metric in entry["data"].get("metrics", [])}


def recorded(paths: Paths, run_id: int) -> dict[str, float]:
    """The metrics of a run as MLflow will show them once it has got them: of each the value with the highest step."""
    return latest(Tail(spool_path(paths.run_dir(run_id))).read())


def latest(records: Iterable[Record]) -> dict[str, float]:
    """The metrics of a run's records, without those of single foreach tasks, which are nested runs in MLflow."""
    newest: dict[str, tuple[int, float, float]] = {}
    nested = set()
    for number, record in enumerate(records, start=1):
        if record["kind"] == "start" and record["stack"]:
            nested.add(batches.task_key(record))
        elif record["kind"] == "end" and batches.task_key(record) not in nested:
            for key, value, at, step in batches.results(record, number).metrics:
                newest[key] = max(newest.get(key, (0, 0.0, 0.0)), (step, at, value))
    return {key: value for key, (_, _, value) in newest.items()}
