"""The MLflow run that is the parent of a sweep's runs: found or made by whoever needs it first."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from boxplat.adapters.tracking_api import TrackingApi
from boxplat.core.environment import user
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.sweeps import Sweep, SweepState, Trial, best
from boxplat.runs import batches
from boxplat.runs.outbox import box_identity

STATUS = {SweepState.SUCCEEDED: "FINISHED", SweepState.FAILED: "FAILED", SweepState.CANCELLED: "KILLED"}

# What a run's MLflow run gets when it is made; it is asked for then, because it needs the server.
Lineage = Callable[[TrackingApi], Mapping[str, str]]


def lineage(state: StateStore, paths: Paths, run: Run) -> Lineage | None:
    """For the run of a trial: the tags that put its MLflow run below that of its sweep. None for any other run."""
    if "sweep" not in run.options:
        return None
    sweep_id, number = int(run.options["sweep"]), int(run.options["trial"])

    def tags(api: TrackingApi) -> dict[str, str]:
        parent = of(api, state, paths, state.sweeps.get(sweep_id))
        return {"mlflow.parentRunId": parent, "boxplat.sweep": str(sweep_id), "boxplat.trial": str(number)}

    return tags


def logged_by(state: StateStore, run_id: int) -> str:
    """What marks the MLflow runs that a trial's flow makes itself."""
    return f"{box_identity(state)}/{run_id}"


def environment(state: StateStore, run: Run, tracking_run_id: str | None) -> dict[str, str]:
    """What a trial's flow is told, and what its own MLflow runs are tagged with. Empty for any other run."""
    if "sweep" not in run.options:
        return {}
    sweep = state.sweeps.get(int(run.options["sweep"]))
    tags = {"boxplat.logged_by": logged_by(state, run.id)}
    if tracking_run_id:
        tags["mlflow.parentRunId"] = tracking_run_id
    # MLflow's own way to tag every run that a process starts.
    return {
        "MLFLOW_RUN_CONTEXT": json.dumps(tags),
        "BOXPLAT_SWEEP": str(sweep.id),
        "BOXPLAT_TRIAL": str(run.options["trial"]),
        "BOXPLAT_SWEEP_METRIC": sweep.plan.metric,
    }


def of(api: TrackingApi, state: StateStore, paths: Paths, sweep: Sweep) -> str:
    """The id of a sweep's MLflow run, made if need be; one even where several processes ask at once.

    Raises:
        TrackingDownError: try again later.
    """
    if sweep.tracking_run_id:
        return sweep.tracking_run_id
    lock = os.open(paths.state / "sweeps.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = state.sweeps.get(sweep.id).tracking_run_id
        if known:
            return known
        experiment = api.experiment(sweep.name)
        identity = f"{box_identity(state)}/sweep/{sweep.id}"
        found = api.search(experiment, f"tags.`boxplat.identity` = '{identity}'", limit=1)
        entry = found[0] if found else _create(api, experiment, identity, sweep)
        run_id = str(entry["info"]["run_id"])
        state.sweeps.tracked(sweep.id, run_id)
        return run_id
    finally:
        os.close(lock)


def _create(api: TrackingApi, experiment: str, identity: str, sweep: Sweep) -> dict[str, Any]:
    tags = {
        "boxplat.identity": identity,
        "boxplat.sweep": str(sweep.id),
        "mlflow.source.name": sweep.flow,
        "mlflow.source.type": "LOCAL",
        "mlflow.user": user(),
    }
    entry = api.create(experiment, f"{sweep.name}-sweep-{sweep.id}", sweep.created, tags)
    plan = sweep.plan
    varied = plan.space or {name: json.dumps(values) for name, values in plan.grid.items()}
    said = {"metric": plan.metric, "mode": plan.mode if plan.metric else "", "kind": plan.kind}
    params = {f"sweep.{name}": value for name, value in said.items() if value} | dict(plan.params) | dict(varied)
    limited = {batches.key(name): value[: batches.LONGEST_PARAM] for name, value in params.items()}
    api.log(str(entry["info"]["run_id"]), params=limited)
    return entry


def close(api: TrackingApi, run_id: str, sweep: Sweep, trials: list[Trial]) -> None:
    """Give a sweep's MLflow run its best trial and its final status.

    Raises:
        TrackingDownError: try again later.
    """
    ended = sweep.ended or sweep.created
    tags = {"boxplat.trials": str(len(trials)), "boxplat.error": sweep.error[: batches.LONGEST_TAG]}
    metrics = []
    winner = best(sweep.plan, trials)
    if winner is not None and winner.value is not None:
        tags |= {f"best.{batches.key(name)}": winner.params[name] for name in sweep.plan.varied}
        tags |= {"boxplat.best_trial": str(winner.number), "boxplat.best_run": winner.tracking_run_id or ""}
        metrics = [(batches.key(f"best.{sweep.plan.metric}"), winner.value, ended, 0)]
    api.log(run_id, tags=tags, metrics=metrics)
    api.end(run_id, STATUS[sweep.state], ended)
