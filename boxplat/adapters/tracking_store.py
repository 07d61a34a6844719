"""The tracking server's own store on the disk: what is in it, read from its database, and taking runs out of it.

Reading is SQL on MLflow's tables (a server may run or not); deleting is MLflow's own store class, in a process of its
own (`python -m boxplat.adapters.tracking_store`): what `mlflow gc` does, but for the runs that are named only. That
command takes every deleted experiment along, and cannot reach proxied artifacts without a server.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.adapters.tracking_reading import reading
from boxplat.core.environment import QUIET
from boxplat.core.errors import BoxError
from boxplat.core.model import ModelVersion

_SCHEME = "mlflow-artifacts:/"
_LOGGED = "models:/"
# The stage of a version that was deleted: its row stays for ever.
_DELETED = "Deleted_Internal"


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run in the database. `folder` is None where its artifacts are not in the box."""

    id: str
    experiment: str
    name: str
    status: str
    deleted: bool
    at: float
    folder: Path | None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class TrackedModel:
    """A logged model; `run` is what logged it."""

    id: str
    run: str | None
    folder: Path | None


@dataclass(frozen=True, slots=True)
class TrackedVersion:
    """A version of a registered model; `logged` is the logged model that it is made of, if any."""

    name: str
    version: int
    run: str | None
    logged: str | None
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tracked:
    """All of a tracking store."""

    runs: tuple[TrackedRun, ...] = ()
    models: tuple[TrackedModel, ...] = ()
    versions: tuple[TrackedVersion, ...] = ()
    children: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read(mlflow: Path) -> Tracked:
    """What is in the store of a box; nothing where it was never used.

    Args:
        mlflow: its folder, `.box/mlflow`.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    with reading(mlflow, "logged_models", "the tracking store", timeout=20) as db:
        if db is None:
            return Tracked()
        parents = dict(db.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'").fetchall())
        aliases: dict[tuple[str, int], list[str]] = {}
        for name, version, alias in db.execute("select name, version, alias from registered_model_aliases"):
            aliases.setdefault((name, int(version)), []).append(alias)
        runs = [_run(row, mlflow, parents) for row in db.execute("select * from runs").fetchall()]
        models = [_model(row, mlflow) for row in db.execute("select * from logged_models").fetchall()]
        there = db.execute("select * from model_versions where current_stage is not ?", (_DELETED,)).fetchall()
        versions = [_version(row, aliases) for row in there]
    children: dict[str, tuple[str, ...]] = {}
    for run in runs:
        if run.parent:
            children[run.parent] = (*children.get(run.parent, ()), run.id)
    return Tracked(tuple(runs), tuple(models), tuple(versions), children)


def stamp(mlflow: Path) -> tuple[int, ...]:
    """Something that is another whenever the store was written to; empty where it was never used."""
    found = []
    for name in ("mlflow.db", "mlflow.db-wal"):
        with contextlib.suppress(OSError):
            status = (mlflow / name).stat()
            found += [status.st_mtime_ns, status.st_size]
    return tuple(found)


def registered(mlflow: Path) -> list[ModelVersion]:
    """Every version of every registered model with its tags, aliases, and the last metrics of the run that made it.

    Args:
        mlflow: its folder, `.box/mlflow`. No server need run.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    with reading(mlflow, "model_versions", "the registered models") as db:
        return _registered(db) if db is not None else []


def _registered(db: sqlite3.Connection) -> list[ModelVersion]:
    aliases: dict[tuple[str, int], list[str]] = {}
    for name, version, alias in db.execute("select name, version, alias from registered_model_aliases order by alias"):
        aliases.setdefault((name, int(version)), []).append(alias)
    tags: dict[tuple[str, int], dict[str, str]] = {}
    for name, version, key, value in db.execute("select name, version, key, value from model_version_tags"):
        tags.setdefault((name, version), {})[key] = value or ""
    metrics: dict[str, dict[str, float]] = {}
    made = (
        "select run_uuid, key, value, is_nan from latest_metrics where run_uuid in (select run_id from model_versions)"
    )
    for run, key, value, unknown in db.execute(f"{made} order by key"):
        metrics.setdefault(run, {})[key] = math.nan if unknown else float(value)
    there = db.execute("select * from model_versions where current_stage is not ?", (_DELETED,)).fetchall()
    return [
        ModelVersion(
            name=row["name"],
            version=int(row["version"]),
            aliases=tuple(aliases.get((row["name"], int(row["version"])), ())),
            source_run_id=row["run_id"] or None,
            created=(row["creation_time"] or 0) / 1000,
            tags=tags.get((row["name"], row["version"]), {}),
            metrics=metrics.get(row["run_id"], {}),
        )
        for row in there
    ]


def _run(row: sqlite3.Row, mlflow: Path, parents: dict[str, str]) -> TrackedRun:
    folder = _folder(row["artifact_uri"], mlflow)
    return TrackedRun(
        id=row["run_uuid"],
        experiment=str(row["experiment_id"]),
        name=row["name"] or "",
        status=row["status"],
        deleted=row["lifecycle_stage"] == "deleted",
        at=(row["end_time"] or row["start_time"] or 0) / 1000,
        # `EXPERIMENT/RUN/artifacts`
        folder=folder.parent if folder and folder.parent.name == row["run_uuid"] else None,
        parent=parents.get(row["run_uuid"]),
    )


def _model(row: sqlite3.Row, mlflow: Path) -> TrackedModel:
    folder = _folder(row["artifact_location"], mlflow)
    return TrackedModel(
        row["model_id"],
        row["source_run_id"],
        folder.parent if folder and folder.parent.name == row["model_id"] else None,
    )


def _version(row: sqlite3.Row, aliases: dict[tuple[str, int], list[str]]) -> TrackedVersion:
    name, version, source = row["name"], int(row["version"]), str(row["source"] or "")
    logged = source.removeprefix(_LOGGED) if source.startswith(f"{_LOGGED}m-") else None
    return TrackedVersion(name, version, row["run_id"], logged, tuple(sorted(aliases.get((name, version), ()))))


def _folder(uri: str | None, mlflow: Path) -> Path | None:
    if not uri or not uri.startswith(_SCHEME):
        return None
    root = (mlflow / "artifacts").resolve()
    path = (root / uri.removeprefix(_SCHEME).strip("/")).resolve()
    return path if path.is_relative_to(root) and path != root else None


def settle(mlflow: Path) -> None:
    """Write the database's journal back into it, and empty it, as far as nobody reads it."""
    if (mlflow / "mlflow.db").exists():
        with contextlib.closing(sqlite3.connect(mlflow / "mlflow.db", timeout=20)) as db:
            db.execute("pragma wal_checkpoint(truncate)")


def remove(mlflow: Path, runs: Sequence[str], models: Sequence[str], versions: Sequence[tuple[str, int]]) -> list[str]:
    """Take runs, logged models and versions out of the store for good, with their artifacts. May be repeated.

    A run that a registered version has come to need in the meantime stays.

    Returns:
        The runs that are gone.

    Raises:
        BoxError: MLflow refused; what was deleted until then is gone.
    """
    work = {"mlflow": str(mlflow), "runs": list(runs), "models": list(models), "versions": list(versions)}
    done = subprocess.run(
        [sys.executable, "-m", "boxplat.adapters.tracking_store"],
        input=json.dumps(work),
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BoxError(
            "the tracking store did not let go of all runs",
            why="\n".join(done.stderr.strip().splitlines()[-5:]) or f"status {done.returncode}",
            fix="box gc --yes   (it goes on where this one has stopped)",
        )
    return [line for line in done.stdout.split() if line]


def _remove(work: dict[str, Any]) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.store.model_registry import sqlalchemy_store as untyped_registry
    from mlflow.store.tracking import sqlalchemy_store as untyped_store

    mlflow = Path(work["mlflow"])
    uri = f"sqlite:///{mlflow / 'mlflow.db'}"
    stores: Any = untyped_store
    registries: Any = untyped_registry
    registry = registries.SqlAlchemyStore(uri)
    for name, version in work["versions"]:
        with contextlib.suppress(MlflowException):  # it is gone already
            registry.delete_model_version(name, version)
    store = stores.SqlAlchemyStore(uri, "mlflow-artifacts:/")
    now = read(mlflow)
    needed = {one.run for one in now.versions} | {model.run for model in now.models if _needed(model, now)}
    models = {model.id: model for model in now.models if not _needed(model, now)}
    for model_id in [one for one in work["models"] if one in models]:
        # Marked as deleted first: whatever happens then, it is what `mlflow gc` would take as well.
        store.delete_logged_model(model_id)
        _forget(models[model_id].folder)
        store._hard_delete_logged_model(model_id)
    there = {run.id: run for run in now.runs}
    for run_id in work["runs"]:
        if run_id in needed:
            continue
        if run_id in there:
            store.delete_run(run_id)
            _forget(there[run_id].folder)
            store._hard_delete_run(run_id)
        print(run_id, flush=True)


def _needed(model: TrackedModel, now: Tracked) -> bool:
    return any(one.logged == model.id for one in now.versions)


def _forget(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _remove(json.load(sys.stdin))
    sys.stdout.flush()
    os._exit(0)  # the interpreter's tear-down of all that mlflow imports takes a second and does nothing for us
