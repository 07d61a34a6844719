"""What a migration reads: copies of the databases, and the files, with what a person must know about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from boxplat.adapters import tracking_schema
from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.export.migrate import databases
from boxplat.export.migrate.faults import faults, orphans
from boxplat.export.migrate.journal import Journal
from boxplat.export.migrate.tables import counts, names, quoted, revision
from boxplat.export.migrate.trees import DATA, Files, trees
from boxplat.features.registry_copy import Registered, registry_copy
from boxplat.features.repository import SETTINGS, Told

TRACKING, REGISTRY = "mlflow.db", "registry.db"
# Where MLflow writes down the places of files; those with a scheme of their own are the same everywhere.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that goes over: rows by table of the copied databases, files, and what is remarkable."""

    revision: str
    tables: Mapping[str, int]
    registry: Mapping[str, int]
    files: tuple[Files, ...]
    materialized: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    resumes: bool


def gathered(paths: Paths, config: Config, storage: str, journal: Journal, told: Told) -> Sources:
    """Copy the databases as they are now; the copies of a migration that was cut off are taken again.

    Args:
        storage: where the data will be, for the addresses in the registry.

    Raises:
        BoxError: a database or the repository cannot be read.
    """
    resumes = journal.under_way
    if not resumes:
        told("copying the databases")
        work = journal.fresh()
        tracking_schema.snapshot(paths.mlflow, work / TRACKING)
        journal.begin(_copies(paths, config, storage, work, told))
    facts = journal.facts()
    with databases.copy(journal.work / TRACKING) as tracking, databases.copy(journal.work / REGISTRY) as registry:
        files = trees(paths)
        left = [f"{path}: a link that leads out of its folder stays" for tree in files for path in tree.left]
        return Sources(
            revision=revision(tracking) if tracking is not None else "",
            tables=counts(tracking, names(tracking)) if tracking is not None else {},
            registry=counts(registry, names(registry)) if registry is not None else {},
            files=files,
            materialized={name: (first, last) for name, (first, last) in facts["materialized"].items()},
            notes=(*facts["notes"], *left),
            problems=tuple(faults(tracking)) if tracking is not None else (),
            resumes=resumes,
        )


def _copies(paths: Paths, config: Config, storage: str, work: Path, told: Told) -> dict[str, Any]:
    notes = []
    with databases.copy(work / TRACKING) as tracking:
        if tracking is not None:
            notes += [
                f"{count} rows of {table} stay: what they belong to was deleted"
                for table, count in orphans(tracking).items()
            ]
            notes += _places(tracking)
    found = Registered()
    if (paths.root / config.features.repo / SETTINGS).is_file():
        moved = _Moved(paths.data, f"{storage}/{DATA}")
        found = registry_copy(paths, config, work / REGISTRY, moved, told)
    if found.why_not:
        notes.append(f"no registry to move: {found.why_not}")
    notes += [f"the source {path} stays on this machine: it is not below .box/data" for path in found.local]
    return {"notes": notes, "materialized": found.materialized}


class _Moved:
    """Addresses of the project's data over there.

    A registry keeps the paths of the time of `apply`. Of a project that was moved since, what stands at the same place
    below its data now is meant.
    """

    def __init__(self, data: Path, there: str) -> None:
        self._data, self._there = data, there
        self._folder = f"/{data.parent.name}/{data.name}/"

    def __call__(self, address: str) -> str:
        path = address.removeprefix("file://")
        if "://" in path:
            return address
        known = Path(path)
        if known.is_relative_to(self._data):
            return f"{self._there}/{known.relative_to(self._data).as_posix()}"
        _, found, rest = path.partition(self._folder)
        return f"{self._there}/{rest}" if found and (self._data / rest).exists() else address


def _places(tracking: Connection) -> list[str]:
    notes = []
    present = set(names(tracking))
    for table, column in _PLACES:
        if table not in present:
            continue
        test = f"{quoted(column)} like 'file:%' or {quoted(column)} like '/%'"
        several, example = tracking.exec_driver_sql(
            f"select count(*), min({quoted(column)}) from {quoted(table)} where {test}"
        ).one()
        if several:
            notes.append(f"{several} rows of {table} keep files on this machine, which stay: {column} = {example}")
    return notes
