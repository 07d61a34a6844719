"""The metrics of a run: as MLflow has them, else as the run's own records have them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from boxplat.adapters import tracking_metrics
from boxplat.core.metrics import Point, Series
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.runs import batches
from boxplat.runs.outbox import spool_path
from boxplat.runs.spool import Record, Tail

_OURS = ("boxplat.", "step.", "system/")


def metrics(paths: Paths, run: Run) -> tuple[Series, ...]:
    """What a run measured, by name; what boxplat measures itself (durations, memory, cores) is left out."""
    found = tracking_metrics.series(paths.mlflow, run.tracking_run_id) if run.tracking_run_id else []
    found = found or recorded(Tail(spool_path(paths.run_dir(run.id))).read())
    return tuple(one for one in found if not one.name.startswith(_OURS) and one.name != "duration_seconds")


def recorded(records: Iterable[Record]) -> list[Series]:
    """The metrics that a run's records will become in MLflow, those of foreach tasks left out."""
    found: list[tuple[str, Point]] = []
    nested = set()
    for number, record in enumerate(records, start=1):
        if record["kind"] == "start" and record["stack"]:
            nested.add(batches.task_key(record))
        ended = record["kind"] == "end" and batches.task_key(record) not in nested
        batch = batches.results(record, number) if ended else batches.facts(record)
        found += [(key, Point(step, at, value)) for key, value, at, step in batch.metrics]
    found.sort(key=lambda pair: (pair[0], pair[1].step, pair[1].at))
    return [_series(name, [point for _, point in pairs]) for name, pairs in groupby(found, key=lambda pair: pair[0])]


def _series(name: str, points: list[Point]) -> Series:
    values = [point.value for point in points]
    every = -(-len(points) // tracking_metrics.MOST_POINTS)
    kept = [point for number, point in enumerate(points) if number % every == 0 or number == len(points) - 1]
    return Series(name, "", tuple(kept), len(points), min(values), max(values))
