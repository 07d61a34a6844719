"""Turning a run's records into what MLflow keeps. Pure: no I/O, so that sending can be repeated at will."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from boxplat.runs.profiles import metrics
from boxplat.runs.spool import ATTEMPT, Record

# MLflow's limits.
LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 250, 6_000, 8_000
# A foreach of thousands would drown the experiment's page; its numbers are in the flow's artifacts anyway.
MOST_CHILDREN = 50
_BAD = re.compile(r"[^/\w.\- :]")

Metric = tuple[str, float, float, int]


@dataclass(slots=True)
class Batch:
    """What to log on one MLflow run; a metric is (key, value, time, step)."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)

    def add(self, other: Batch) -> None:
        """Take in a later batch: a parameter keeps its first value (MLflow's rule), a tag its last."""
        self.params = {**other.params, **self.params}
        self.tags.update(other.tags)
        self.metrics += other.metrics


@dataclass(slots=True)
class Tally:
    """What later records and the summary need to know of the earlier ones. Takes every record once, in order."""

    count: int = 0
    attempts: dict[str, int] = field(default_factory=dict)
    caught: set[str] = field(default_factory=set)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    starts: dict[str, Record] = field(default_factory=dict)
    failed: set[tuple[str, int]] = field(default_factory=set)
    profiles: list[Record] = field(default_factory=list)

    def take(self, record: Record) -> None:
        self.count += 1
        if record["kind"] == "profile":
            self.profiles.append(record)
        if record["kind"] not in ATTEMPT:
            return
        task = task_key(record)
        first, last = self.spans.get(record["step"], (record["at"], record["at"]))
        self.spans[record["step"]] = (min(first, record["at"]), max(last, record["at"]))
        self.attempts[task] = max(self.attempts.get(task, 0), record["attempt"])
        if record["kind"] == "start":
            self.starts[task] = record
        elif record["kind"] == "error":
            self.failed.add((task, record["attempt"]))
        elif record["ok"] and (task, record["attempt"]) in self.failed:
            self.caught.add(task)


def task_key(record: Record) -> str:
    """`step/task`, unique within a run."""
    return f"{record['step']}/{record['task']}"


def index_text(stack: Iterable[Mapping[str, Any]]) -> str:
    """Where a task is in its foreach nest: `0` or `1.3`; empty outside one."""
    return ".".join(str(frame.get("index") if frame.get("index") is not None else 0) for frame in stack)


def facts(record: Record) -> Batch:
    """What one record says about the whole run, in whichever task it was said."""
    batch = Batch()
    if record["kind"] == "run":
        batch.tags = {"metaflow.pathspec": f"{record['flow']}/{record['run']}"}
    elif record["kind"] == "tags":
        batch.tags = {key(name): str(value)[:LONGEST_TAG] for name, value in record["tags"].items()}
    elif record["kind"] == "report":
        # Under a name of its own: it must not pass for the final value, which has a lower step.
        name = key(f"intermediate/{record['metric'] or 'value'}")
        batch.metrics = [(name, record["value"], record["at"], record["index"])]
    elif record["kind"] == "data":
        batch.tags = {key(f"data_digest.{record['way']}.{record['name']}"): record["digest"] or "unknown"}
    elif record["kind"] == "start" and isinstance(record.get("params"), dict):
        batch.params = {key(name): str(value)[:LONGEST_PARAM] for name, value in record["params"].items()}
    elif record["kind"] == "end":
        batch.tags = {f"data_digest.{key(name)}": str(value)[:LONGEST_TAG] for name, value in record["digests"].items()}
        if record.get("feature_service"):
            batch.tags["feature_service"] = str(record["feature_service"])[:LONGEST_TAG]
    return batch


def results(record: Record, step: int) -> Batch:
    """The artifacts of a finished task: numbers as metrics at `step`, truth values and texts as tags."""
    batch = Batch()
    for name, value in record["artifacts"].items():
        _add(batch, key(name), value, record["at"], step)
        if isinstance(value, dict):
            for part, number in value.items():
                _add(batch, key(f"{name}.{part}"), number, record["at"], step)
    return batch


def summary(tally: Tally, at: float, started: float) -> Batch:
    """What is known only at the end: durations in seconds, retries and caught failures."""
    batch = Batch(metrics=[("duration_seconds", max(0.0, at - started), at, 0)])
    for step, (first, last) in sorted(tally.spans.items()):
        batch.metrics.append((key(f"step.{step}.seconds"), last - first, at, 0))
    batch.metrics += [(key(name), value, at, 0) for name, value in metrics.of(tally.profiles).items()]
    batch.tags = {
        "boxplat.tasks": str(len(tally.attempts)),
        "boxplat.retries": str(sum(tally.attempts.values())),
        "boxplat.caught": ",".join(sorted(tally.caught))[:LONGEST_TAG],
    }
    return batch


def key(name: str) -> str:
    """A name in the letters that MLflow allows."""
    return _BAD.sub("_", name)[:LONGEST_KEY]


def _add(batch: Batch, name: str, value: object, at: float, step: int) -> None:
    if isinstance(value, bool):
        batch.tags[f"artifact.{name}"[:LONGEST_KEY]] = str(value).lower()
    elif isinstance(value, int | float):
        batch.metrics.append((name, float(value), at, step))
    elif isinstance(value, str):
        batch.tags[f"artifact.{name}"[:LONGEST_KEY]] = value[:LONGEST_TAG]
