"""The metrics of tracking runs, read from the tracking server's database; a server may run or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from boxplat.adapters.tracking_reading import reading
from boxplat.core.metrics import Point, Series

MOST_POINTS = 400
# A foreach of hundreds has as many nested runs.
MOST_NESTED = 20


def series(mlflow: Path, run: str) -> list[Series]:
    """Every metric of a tracking run and of the runs nested in it, by name; at most 400 points of each.

    Args:
        mlflow: the store's folder, `.box/mlflow`.
        run: MLflow's id.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    with reading(mlflow, "metrics", "the metrics") as db:
        if db is None:
            return []
        nested = db.execute(
            "select tags.run_uuid, coalesce(runs.name, '') from tags join runs on runs.run_uuid = tags.run_uuid "
            "where key = 'mlflow.parentRunId' and value = ? and lifecycle_stage = 'active' "
            "order by start_time limit ?",
            (run, MOST_NESTED),
        ).fetchall()
        return [one for number, source in [(run, ""), *nested] for one in _of_run(db, number, source)]


def _of_run(db: sqlite3.Connection, run: str, source: str) -> list[Series]:
    # What is not a number has the value 0 there.
    found = db.execute(
        "select key, count(*), min(iif(is_nan, null, value)), max(iif(is_nan, null, value)) from metrics "
        "where run_uuid = ? group by key order by key",
        (run,),
    ).fetchall()
    nothing = float("nan")
    return [
        Series(key, source, _points(db, run, key, count), count, *(nothing if end is None else end for end in ends))
        for key, count, *ends in found
    ]


def _points(db: sqlite3.Connection, run: str, key: str, count: int) -> tuple[Point, ...]:
    every = -(-count // MOST_POINTS)
    rows = db.execute(
        "select step, timestamp, value, is_nan from (select *, row_number() over (order by step, timestamp) as n "
        "from metrics where run_uuid = ? and key = ?) where n % ? = 0 or n = 1 or n = ? order by n",
        (run, key, every, count),
    )
    return tuple(Point(step, at / 1000, float("nan") if unknown else value) for step, at, value, unknown in rows)
