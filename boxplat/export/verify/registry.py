"""The exported tracking server: empty for flows, with this box's registry for endpoints, as after a migration."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from boxplat.adapters import tracking_files, tracking_schema
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.export.model import TRACKING
from boxplat.export.verify import stand_ins
from boxplat.export.verify.exported import Exported, values
from boxplat.export.verify.pods import Processes, World
from boxplat.export.verify.servers import served
from boxplat.export.verify.storage import Storage

_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
# What the exported server loads for its log-in and its metrics, and the local one has no use for.
_MODULES = ("flask_wtf", "prometheus_flask_exporter")


@contextlib.contextmanager
def tracking(exported: Exported, world: World) -> Iterator[None]:
    """The exported tracking server, until the block ends; none where the export has none.

    Raises:
        BoxError: a package that it needs is not installed here (exit code 4), or it does not get ready (10).
    """
    found = exported.deployments().get(TRACKING)
    if found is None:
        yield
        return
    missing = [module for module in _MODULES if importlib.util.find_spec(module) is None]
    if missing:
        raise BoxError(
            "the exported tracking server cannot run here",
            why=f"not installed: {', '.join(missing)}",
            fix="pip install 'boxplat[export]'",
            code=ExitCode.PRECONDITION,
        )
    with served(Processes(world, 1), found, world.hosts[TRACKING], TRACKING):
        yield


def migrate(exported: Exported, paths: Paths, models: Iterable[str], storage: Storage, world: World) -> None:
    """Put this box's tracking database in place of the one that flows have filled, and some models into the storage.

    Args:
        models: versions, each as `name/number`.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    found = exported.deployments().get(TRACKING)
    if found is None:
        return
    database = world.folder / "stand-ins" / stand_ins.TRACKING_DATABASE
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    tracking_schema.snapshot(paths.mlflow, database)
    prefix = urlsplit(next(values(found, _DESTINATION))).path.strip("/")
    for model in models:
        name, _, version = model.rpartition("/")
        place = tracking_files.model_files(paths.mlflow, name, version)
        if place:
            _upload(paths.mlflow / "artifacts", place, prefix, storage)


def _upload(artifacts: Path, place: str, prefix: str, storage: Storage) -> None:
    client = storage.client()
    for file in sorted((artifacts / place).rglob("*")):
        if file.is_file():
            client.upload_file(str(file), storage.bucket, f"{prefix}/{file.relative_to(artifacts).as_posix()}")
