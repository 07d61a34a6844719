"""What a project's registry holds as the rows of Feast's SQL registry, in a SQLite file to copy from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Engine

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.features.repository import SETTINGS, Told, folder, opened

Moved = Callable[[str], str]
# Table of Feast's SQL registry → the column of the name, and the field of the registry message.
_OBJECTS = {
    "projects": ("project_name", "projects"),
    "entities": ("entity_name", "entities"),
    "data_sources": ("data_source_name", "data_sources"),
    "feature_views": ("feature_view_name", "feature_views"),
    "stream_feature_views": ("feature_view_name", "stream_feature_views"),
    "on_demand_feature_views": ("feature_view_name", "on_demand_feature_views"),
    "label_views": ("feature_view_name", "label_views"),
    "feature_services": ("feature_service_name", "feature_services"),
    "saved_datasets": ("saved_dataset_name", "saved_datasets"),
    "validation_references": ("validation_reference_name", "validation_references"),
    "permissions": ("permission_name", "permissions"),
}
_VERSIONS = "feature_view_version_history"
_FILE = "feast.core.DataSource.FileOptions"


@dataclass(frozen=True, slots=True)
class Registered:
    """What is in the copy: how many objects, and by view the times between which it was materialized here.

    `local` are addresses of files that stay where they are; `why_not` says why there is no copy.
    """

    project: str = ""
    objects: int = 0
    materialized: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    local: tuple[str, ...] = ()
    why_not: str = ""


def registry_copy(paths: Paths, config: Config, copy: Path, moved: Moved, told: Told) -> Registered:
    """Write the registry as it is now to a new SQLite file with the tables of Feast's SQL registry.

    Two things change on the way: addresses of files, and that nothing is materialized, since the online store over
    there is empty.

    Args:
        moved: the new address of a file, or the same where it stays.

    Raises:
        BoxError: there is no repository (exit code 9), or it cannot be read (exit code 2).
    """
    folder(paths, config)
    with opened(paths, config, told) as store:
        why_not, tables = _read(store)
        if why_not:
            return Registered(store.project, why_not=why_not)
        change = _Change(moved)
        changed = {name: [change.row(name, row) for row in rows] for name, rows in tables.items()}
        _write(changed, copy)
        objects = sum(map(len, changed.values()))
        return Registered(store.project, objects, change.materialized, tuple(sorted(change.local)))


def make_tables(engine: Engine) -> None:
    """Feast's tables, where they are not there yet."""
    from feast.infra.registry import sql

    metadata: Any = sql.metadata
    metadata.create_all(engine)


def _read(store: Any) -> tuple[str, dict[str, list[dict[str, Any]]]]:
    settings = store.config.registry
    if settings.registry_type == "file":
        place = Path(settings.path)
        place = place if place.is_absolute() else store.repo_path / place
        if "://" not in settings.path and not place.exists():
            return f"nothing was applied yet: {SETTINGS} names a registry that is not there", {}
        store.refresh_registry()
        return "", dict(_of_message(store.registry.proto(), store.project))
    if settings.registry_type == "sql" and settings.path.startswith("sqlite:"):
        return "", _of_database(settings.path)
    return f"the registry of {SETTINGS} ({settings.registry_type}) is no file of this machine", {}


def _of_message(registry: Any, project: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows that Feast's SQL registry would write for what a registry file holds."""
    last = _seconds(registry.last_updated)
    for table, (name, several) in _OBJECTS.items():
        yield table, [_row(table, name, one, project, last) for one in getattr(registry, several)]
    if registry.HasField("infra"):
        infra = registry.infra.SerializeToString(deterministic=True)
        own = {"infra_name": "infra_obj", "project_id": project, "last_updated_timestamp": last, "infra_proto": infra}
        yield "managed_infra", [own]
    yield (
        _VERSIONS,
        [
            {
                "feature_view_name": one.feature_view_name,
                "project_id": one.project_id or project,
                "version_number": one.version_number,
                "feature_view_type": one.feature_view_type,
                "feature_view_proto": one.feature_view_proto,
                "created_timestamp": _seconds(one.created_timestamp),
                "description": one.description,
                "version_id": one.version_id,
            }
            for one in registry.feature_view_version_history.records
        ],
    )


def _row(table: str, name: str, one: Any, project: str, last: int) -> dict[str, Any]:
    described = one.spec if "spec" in one.DESCRIPTOR.fields_by_name else one
    if table == "projects":
        own = described.name
    else:
        described.project = own = described.project or project
    meta = getattr(one, "meta", None)
    return {
        name: described.name,
        "project_id": own,
        "last_updated_timestamp": _seconds(meta.last_updated_timestamp) if meta is not None else last,
        _column(table): one.SerializeToString(deterministic=True),
    }


def _column(table: str) -> str:
    """The column of a table that holds the message; every kind of view has the same one."""
    from feast.infra.registry import sql

    columns: Any = sql.metadata.tables[table].columns
    return next(str(column.name) for column in columns if column.name.endswith("_proto"))


def _seconds(moment: Any) -> int:
    return int(moment.ToSeconds())


def _of_database(address: str) -> dict[str, list[dict[str, Any]]]:
    from feast.infra.registry import sql

    engine = create_engine(address)
    try:
        present = set(inspect(engine).get_table_names())
        tables: Any = sql.metadata.tables
        with engine.connect() as connection:
            return {
                name: [dict(row._mapping) for row in connection.execute(table.select())]
                for name, table in tables.items()
                # Feast's own marks of a registry: the other one gets its own.
                if name in present and name != "feast_metadata"
            }
    finally:
        engine.dispose()


class _Change:
    """Rows as they are to be over there, and what was learnt on the way."""

    def __init__(self, moved: Moved) -> None:
        self._moved = moved
        self.materialized: dict[str, tuple[str, str]] = {}
        self.local: set[str] = set()

    def row(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        if table == "managed_infra":
            return row
        column = _column(table)
        message = _message(table, row).FromString(row[column])
        self._files(message)
        if table in ("feature_views", "stream_feature_views"):
            self._unmaterialize(message)
        changed = {**row, column: message.SerializeToString(deterministic=True)}
        return {**changed, "materialized_intervals": None} if "materialized_intervals" in row else changed

    def _unmaterialize(self, message: Any) -> None:
        spans = message.meta.materialization_intervals
        if spans:
            first = min(span.start_time.ToMicroseconds() for span in spans)
            last = max(span.end_time.ToMicroseconds() for span in spans)
            self.materialized[message.spec.name] = (_time(first), _time(last))
            message.meta.ClearField("state")
        message.meta.ClearField("materialization_intervals")

    def _files(self, message: Any) -> None:
        if message.DESCRIPTOR.full_name == _FILE:
            message.uri = moved = self._moved(message.uri)
            if "://" not in moved:
                self.local.add(moved)
        for described, value in message.ListFields():
            if described.message_type is None or described.message_type.GetOptions().map_entry:
                continue
            for one in value if described.is_repeated else (value,):
                self._files(one)


def _message(table: str, row: Mapping[str, Any]) -> Any:
    from feast.protos.feast.core.FeatureView_pb2 import FeatureView
    from feast.protos.feast.core.LabelView_pb2 import LabelView
    from feast.protos.feast.core.OnDemandFeatureView_pb2 import OnDemandFeatureView
    from feast.protos.feast.core.Registry_pb2 import Registry
    from feast.protos.feast.core.StreamFeatureView_pb2 import StreamFeatureView

    if table == _VERSIONS:
        kinds: dict[str, Any] = {
            "stream_feature_view": StreamFeatureView,
            "on_demand_feature_view": OnDemandFeatureView,
            "label_view": LabelView,
        }
        return kinds.get(row["feature_view_type"], FeatureView)
    return getattr(Registry(), _OBJECTS[table][1]).add().__class__


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()


def _write(tables: Mapping[str, list[dict[str, Any]]], copy: Path) -> None:
    from feast.infra.registry import sql

    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    engine = create_engine(f"sqlite:///{copy}")
    try:
        known: Any = sql.metadata.tables
        metadata: Any = sql.metadata
        metadata.create_all(engine, tables=[known[name] for name in tables])
        with engine.begin() as connection:
            for name, rows in tables.items():
                if rows:
                    connection.execute(known[name].insert(), rows)
    finally:
        engine.dispose()
