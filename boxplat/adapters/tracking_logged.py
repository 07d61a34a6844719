"""What tracking runs logged, read from a tracking server's database; a server may run or not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from boxplat.adapters.tracking_reading import reading


@dataclass(frozen=True, slots=True)
class Logged:
    """The parameters and the last values of the metrics of some runs, by name."""

    params: dict[str, str]
    metrics: dict[str, float]


def run_ids(mlflow: Path) -> set[str]:
    """MLflow's ids of all runs.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    with reading(mlflow, "runs", "the runs") as db:
        return {row["run_uuid"] for row in db.execute("select run_uuid from runs")} if db is not None else set()


def logged(mlflow: Path, runs: Collection[str]) -> Logged:
    """What runs logged, all together.

    Args:
        mlflow: the folder with the database `mlflow.db`.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    found = Logged({}, {})
    with reading(mlflow, "latest_metrics", "the metrics") as db:
        for run in runs if db is not None else ():
            assert db is not None
            rows = db.execute("select key, value, is_nan from latest_metrics where run_uuid = ?", (run,))
            found.metrics.update({row["key"]: float("nan") if row["is_nan"] else row["value"] for row in rows})
            rows = db.execute("select key, value from params where run_uuid = ?", (run,))
            found.params.update({row["key"]: row["value"] for row in rows})
    return found
