"""A Feast-free copy of what a registry declares, for programs that must start at once.

One JSON file next to the rows. It is written whenever Feast is loaded anyway and the registry has changed; a copy that
is old, damaged or of another version counts for nothing and is made again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from boxplat.features.registry import fingerprint
from boxplat.features.schema import View

if TYPE_CHECKING:
    from feast import FeatureStore, RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry

VERSION = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a view's rows come from.

    Args:
        timestamp, created: columns of the event time and (empty: none) of the time of writing.
        path: file or folder of the rows, relative to the repository; empty where it is no file.
        mapping: by the source's column, the name that the view uses.
    """

    timestamp: str
    created: str
    path: str
    mapping: Mapping[str, str]


@dataclass(frozen=True)
class Projection:
    """What a service takes of one view.

    Args:
        view: the view's own name.
        alias: its name in results.
        fields: in the order of the service.
        key_map: by the view's join key, the name that a request gives it.
    """

    view: str
    alias: str
    fields: tuple[str, ...]
    key_map: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """A feature service. `on_demand`: it has transformations, which need Feast."""

    name: str
    projections: tuple[Projection, ...]
    on_demand: bool


@dataclass(frozen=True)
class Catalog:
    """A project's declarations.

    Args:
        online: folder of the project's rows.
        clock: what ages are measured against, `wall` or `materialization`.
        views: by name, each as the store keeps it (under `View.name`); those written on demand included.
        versions: current version of each view.
        sources: of the views that have one.
        push_sources: views that each push source feeds.
        on_demand: views that only Feast can answer.
        closed: views that Feast refuses to serve, and why.
        entities: join key of each entity, by the entity's name.
        stamp: the registry that this is a copy of.
    """

    project: str
    online: Path
    clock: str
    views: Mapping[str, View]
    versions: Mapping[str, int]
    sources: Mapping[str, Source]
    services: Mapping[str, Service]
    push_sources: Mapping[str, tuple[str, ...]]
    on_demand: tuple[str, ...]
    closed: Mapping[str, str]
    entities: Mapping[str, str]
    stamp: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The catalog as JSON values; `from_json` is the way back."""
        return {"format": VERSION, **asdict(self), "online": str(self.online)}

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or AttributeError for what is no catalog."""
        values = {name: text[name] for name in cls.__dataclass_fields__}
        services = values["services"].values()
        return cls(
            **values
            | {
                "online": Path(values["online"]),
                "views": {name: View.from_json(view) for name, view in values["views"].items()},
                "sources": {name: Source(**source) for name, source in values["sources"].items()},
                "services": {service["name"]: _service(service) for service in services},
                "push_sources": {name: tuple(views) for name, views in values["push_sources"].items()},
                "on_demand": tuple(values["on_demand"]),
            }
        )


def _service(text: Mapping[str, Any]) -> Service:
    parts = (Projection(**{**part, "fields": tuple(part["fields"])}) for part in text["projections"])
    return Service(text["name"], tuple(parts), text["on_demand"])


@dataclass(frozen=True)
class Settings:
    """The lines of `feature_store.yaml` that say where things are.

    Args:
        offline: all lines under `offline_store`.
    """

    project: str
    store: str
    online: Path
    clock: str
    registry: Path | None
    offline: Mapping[str, Any] = field(default_factory=dict)


def settings(repo: Path) -> Settings | None:
    """What `feature_store.yaml` says, read as Feast does; None where it has another form than the usual one.

    Variables of the environment are put in, and `FEAST_FS_YAML_FILE_PATH` names another file.
    """
    import yaml

    path = Path(os.environ.get("FEAST_FS_YAML_FILE_PATH") or repo / "feature_store.yaml")
    try:
        text = yaml.safe_load(os.path.expandvars(path.read_text()))
        online, registry = text["online_store"], text.get("registry", "data/registry.db")
        if isinstance(registry, dict):
            usual = registry.get("registry_type", "file") == "file" and not registry.get("registry_store_type")
            registry = registry.get("path", "") if usual else ""
        local = bool(registry) and "://" not in registry
        return Settings(
            project=text["project"],
            store=online["type"],
            online=repo / online.get("path", "data/online") / text["project"],
            clock=online.get("clock", "wall"),
            registry=repo / registry if local else None,
            offline=text.get("offline_store") or {},
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return None


def load(repo: Path) -> Catalog | None:
    """The catalog of a repository, without Feast.

    Returns:
        None: there is none, the registry has changed since, or the repository's stores are not boxplat's. Then
        `write` makes a new one, or Feast has to be asked.
    """
    known = settings(repo)
    if known is None or not is_ours(known.store) or known.registry is None:
        return None
    found = _read(_path(known.online))
    if found is None or found.online != known.online.resolve() or found.clock != known.clock:
        return None
    return found if _current(found, known.registry) else None


def is_ours(store: str) -> bool:
    """Whether an online store's `type` is boxplat's, by its short or its full name."""
    return store.startswith("boxplat.features.") and store.endswith(".BoxOnlineStore")


def write(store: FeatureStore) -> Catalog | None:
    """Make the catalog of a repository that Feast has opened; None where its online store is not boxplat's."""
    return save(store.config, store.registry)


def save(config: RepoConfig, registry: BaseRegistry) -> Catalog | None:
    """`write`, for a plug-in. A folder that cannot be written to costs only time later, and is logged."""
    if config.online_store is None or not is_ours(config.online_store.type):
        return None
    from boxplat.features.declared import catalog_of

    found = catalog_of(config, registry)
    path = _path(found.online)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(found.to_json(), file)
        scratch.replace(path)
    except OSError as error:
        _log.warning("the catalog %s could not be written: %s", path, error)
    return found


def refresh(config: RepoConfig, registry: BaseRegistry) -> None:
    """`save`, unless the catalog that is there is of the registry as it is now."""
    from boxplat.features.online.plugin import folder

    file = getattr(registry, "_file_path", None)
    if file is not None:
        found = _read(_path(folder(config).resolve()))
        if found is None or not _current(found, Path(file)):
            save(config, registry)


def stamp(registry: Path) -> dict[str, Any]:
    """What tells a registry file from another."""
    status = registry.stat()
    return {
        "file": str(registry.resolve()),
        "size": status.st_size,
        "time_ns": status.st_mtime_ns,
        "fingerprint": fingerprint(registry),
    }


def _current(found: Catalog, registry: Path) -> bool:
    try:
        status = registry.stat()
    except OSError:
        return False
    seen = found.stamp
    if seen.get("file") != str(registry.resolve()) or seen.get("fingerprint") is None:
        return False
    same = (seen.get("size"), seen.get("time_ns")) == (status.st_size, status.st_mtime_ns)
    # A materialization writes the registry too, but declares nothing.
    return same or seen["fingerprint"] == fingerprint(registry)


def _path(online: Path) -> Path:
    return online.with_name(f"{online.name}.catalog.json")


def _read(path: Path) -> Catalog | None:
    try:
        text = json.loads(path.read_text())
        return Catalog.from_json(text) if text["format"] == VERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
