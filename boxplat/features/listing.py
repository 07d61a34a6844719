"""Every feature view with what is declared, how fresh it is online, and what was last done to the features."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from boxplat.core.config import Config
from boxplat.core.model import Event
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import known
from boxplat.features.catalog import Catalog
from boxplat.features.freshness import of_catalog, shown
from boxplat.features.schema import Field

_KINDS = ("applied", "materialized", "compacted", "audited")
_ENDPOINTS = 50


def listing(state: StateStore, paths: Paths, config: Config) -> dict[str, Any]:
    """What a repository declares and how it stands.

    Returns:
        `project`, `clock` (that ages are measured by: `wall`, or `materialization`), and `views`, by name: `view`,
        `keys` and `features` (each `name` and `type`), `ttl_seconds` (None: for ever), `source` (file, folder or URL;
        empty: none), `services` that take of it, `on_demand` (computed when it is read), `closed` (why Feast refuses to
        serve it, or empty), `online` (there is a place for its rows; None: another online store than boxplat's, which
        is not asked), and what `freshness` says of it where it is online. `last`: by what was done (`applied`,
        `materialized`, `compacted`, `audited`) the newest event as `at` (ISO time) and its data, or None. `skew`: the
        newest one of each endpoint.

    Raises:
        BoxError: no repository, or nothing applied (exit code 9).
    """
    found = known.catalog(paths, config)
    fresh = {row["view"]: row for row in _freshness(found)}
    names = sorted({*found.views, *found.on_demand})
    views = [_view(found, name, fresh.get(name)) for name in names]
    for view in views:
        view["source"] = short(view["source"], paths.root)
    last = {kind: _newest(state, f"features.{kind}", 1) for kind in _KINDS}
    skew: dict[str, Any] = {}
    for event in _newest(state, "features.skew", _ENDPOINTS):
        skew.setdefault(str(event.data.get("endpoint")), _told(event))
    return {
        "project": found.project,
        "clock": found.clock,
        "views": views,
        "last": {kind: _told(events[0]) if events else None for kind, events in last.items()},
        "skew": skew,
    }


def short(source: str, root: Path) -> str:
    """The path of a source, relative to the project where it lies in it."""
    path = source.removeprefix("file://")
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else source


def _freshness(found: Catalog) -> list[dict[str, Any]]:
    from boxplat.features.rows import Store

    return [shown(view) for view in of_catalog(found, Store(found.online))] if found.online.name else []


def _view(found: Catalog, name: str, fresh: dict[str, Any] | None) -> dict[str, Any]:
    declared, source = found.views.get(name), found.sources.get(name)
    taken = [(service.name, part) for service in found.services.values() for part in service.projections]
    services = sorted({service for service, part in taken if part.view == name})
    if declared is not None:
        features = _fields(declared.fields)
    else:
        asked = dict.fromkeys(field for _, part in taken if part.view == name for field in part.fields)
        features = [{"name": field, "type": ""} for field in asked]
    return {
        "view": name,
        "keys": _fields(declared.keys) if declared is not None else [],
        "features": features,
        "ttl_seconds": declared.ttl_us / 1e6 if declared is not None and declared.ttl_us else None,
        "source": source.path if source is not None else "",
        "services": services,
        "on_demand": name in found.on_demand,
        "closed": found.closed.get(name, ""),
        "online": fresh is not None if found.online.name else None,
        **(fresh or {}),
    }


def _fields(fields: tuple[Field, ...]) -> list[dict[str, str]]:
    return [{"name": field.name, "type": field.type} for field in fields]


def _newest(state: StateStore, kind: str, limit: int) -> list[Event]:
    """The newest first."""
    return state.events.all(subject="features", kind=kind, limit=limit)[::-1]


def _told(event: Event) -> dict[str, Any]:
    return {"at": datetime.fromtimestamp(event.at, UTC).isoformat(), **event.data}
