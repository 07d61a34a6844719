"""MLflow: the tracking server's declaration, its database, and the model registry. The one home of mlflow."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxplat.adapters.tracking_api import TrackingApi, TrackingRefusedError
from boxplat.core.config import Config
from boxplat.core.environment import QUIET
from boxplat.core.errors import BoxError, not_found
from boxplat.core.model import ModelVersion, Service
from boxplat.core.paths import Paths

NAME = "tracking"


def service(config: Config, paths: Paths) -> Service:
    """The declaration of the tracking server: MLflow's ASGI app under one uvicorn worker.

    The CLI `mlflow server` starts up to 15 processes; the app alone is one, with the same API and pages. The variables
    with a leading underscore are how that CLI hands its options to the app (MLflow 3.17).
    """
    folder = f"${{box.state}}/{paths.mlflow.name}"
    store = f"sqlite:///{folder}/{_database(paths).name}"
    command = ("${box.python}", "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--fd", "${self.fd}")
    options = ("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "5")
    return Service(
        name=NAME,
        command=(*command, *options),
        env={
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/artifacts",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            # Matched against the whole Host header. Any port: an ssh tunnel may end at another one than ours.
            "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*,localhost:*",
            # Also where somebody's shell has switched it off for another server.
            "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
            "MALLOC_ARENA_MAX": "2",
        },
        port=config.tracking.port,
        listen=True,
        health="/health",
        memory_mib=320,
    )


def prepare(paths: Paths) -> None:
    """Make or upgrade the tracking database; call it while no tracking server runs.

    Left to itself MLflow makes its tables at the first request, and a process killed meanwhile, or two at once, leave a
    database that no MLflow opens again. So a lock is held, and the work is done on a copy that then takes the place of
    the database. When the installed MLflow made the schema already, this returns in milliseconds, without importing it.

    Raises:
        BoxError: the schema cannot be made; the database is as it was.
    """
    (paths.mlflow / "artifacts").mkdir(mode=0o700, parents=True, exist_ok=True)
    database = _database(paths)
    with _locked(paths.mlflow / "schema.lock"):
        if _recorded(paths) == _found(paths):
            return
        copy = paths.mlflow / "mlflow.db.new"
        copy.unlink(missing_ok=True)
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            if database.exists():
                _copy(database, copy)
            _run_migration(copy)
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                connection.execute("pragma journal_mode = wal")
        except (sqlite3.Error, subprocess.CalledProcessError) as error:
            copy.unlink(missing_ok=True)
            raise _no_schema(database, error) from error
        copy.replace(database)
        _record(paths).touch(mode=0o600)
        _record(paths).write_text(json.dumps(_found(paths)))


def models(url: str) -> list[ModelVersion]:
    """Every version of every registered model, newest first within a name.

    Raises:
        TrackingDownError: the server does not answer.
    """
    api = TrackingApi(url)
    aliases = {entry["name"]: entry.get("aliases", []) for entry in api.registered_models()}
    versions = [_version(entry, aliases.get(entry["name"], [])) for entry in api.model_versions()]
    return sorted(versions, key=lambda version: (version.name, -version.version))


def model(url: str, name: str) -> list[ModelVersion]:
    """The versions of one registered model, newest first, each with the last metrics of the run that made it.

    Raises:
        BoxError: there is no such model (exit code 9).
        TrackingDownError: the server does not answer.
    """
    api = TrackingApi(url)
    everything = api.registered_models()
    entry = next((entry for entry in everything if entry["name"] == name), None)
    if entry is None:
        raise not_found("model", name, [entry["name"] for entry in everything], "box models list")
    found = api.model_versions(name)
    versions = [_version(version, entry.get("aliases", []), _metrics(api, version.get("run_id"))) for version in found]
    return sorted(versions, key=lambda version: -version.version)


def _version(
    entry: dict[str, Any], aliases: list[dict[str, str]], metrics: dict[str, float] | None = None
) -> ModelVersion:
    number = int(entry["version"])
    return ModelVersion(
        name=entry["name"],
        version=number,
        aliases=tuple(sorted(alias["alias"] for alias in aliases if int(alias["version"]) == number)),
        source_run_id=entry.get("run_id") or None,
        created=int(entry["creation_timestamp"]) / 1000,
        tags={tag["key"]: tag["value"] for tag in entry.get("tags", [])},
        metrics=metrics or {},
    )


def _metrics(api: TrackingApi, run_id: str | None) -> dict[str, float]:
    if not run_id:
        return {}
    try:
        data = api.run(run_id)["data"]
    except TrackingRefusedError:
        return {}  # the run was deleted; the version outlives it
    return {metric["key"]: float(metric["value"]) for metric in data.get("metrics", [])}


def _database(paths: Paths) -> Path:
    return paths.mlflow / "mlflow.db"


def _record(paths: Paths) -> Path:
    return paths.mlflow / "schema.json"


def _recorded(paths: Paths) -> object:
    try:
        return json.loads(_record(paths).read_text())
    except (OSError, ValueError):
        return None


def _found(paths: Paths) -> dict[str, str]:
    """The installed MLflow and the revision of the database; an empty revision where there is none yet."""
    revision = ""
    if _database(paths).exists():
        with contextlib.closing(sqlite3.connect(_database(paths))) as connection, contextlib.suppress(sqlite3.Error):
            revision = str(connection.execute("select version_num from alembic_version").fetchone()[0])
    return {"mlflow": importlib.metadata.version("mlflow"), "revision": revision}


def _copy(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(sqlite3.connect(target)) as new:
        old.backup(new)
        # The copy takes the old one's place: nothing of the old one's log may stay to be replayed into it.
        old.execute("pragma wal_checkpoint(truncate)")
        old.execute("pragma journal_mode = delete")


def _run_migration(database: Path) -> None:
    """In a process of its own, which spares this one the memory of everything that mlflow imports."""
    subprocess.run(
        [sys.executable, "-m", "boxplat.adapters.tracking", str(database)],
        env={**os.environ, **QUIET},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )


def _no_schema(database: Path, error: sqlite3.Error | subprocess.CalledProcessError) -> BoxError:
    said = str(error.stdout) if isinstance(error, subprocess.CalledProcessError) else str(error)
    return BoxError(
        f"cannot make the tracking database {database}",
        why="\n".join(said.strip().splitlines()[-5:]) or str(error),
        fix="box doctor   (a database of a newer MLflow needs that MLflow; nothing was changed)",
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.touch(mode=0o600)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_schema(database: str) -> None:
    """MLflow's own migration, of an empty file or of an older schema."""
    from mlflow.store.db import utils as untyped

    utils: Any = untyped
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{database}")
    if utils._is_empty_database(engine):
        utils._initialize_tables(engine)
    else:
        utils._upgrade_db(engine)
    engine.dispose()


if __name__ == "__main__":
    _make_schema(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # the interpreter's tear-down of all that mlflow imports takes a second and does nothing for us
