"""What a Feast registry declares, as a catalog. Takes Feast's objects, but needs no import of Feast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.features import catalog
from boxplat.features.catalog import Catalog, Projection, Service, Source
from boxplat.features.online.views import NO_ENTITY, view

if TYPE_CHECKING:
    from feast import RepoConfig
    from feast.infra.registry.base_registry import BaseRegistry

# While a view is materialized, its rows are swapped at once: they can always be read.
_SERVED = ("STATE_UNSPECIFIED", "MATERIALIZING", "AVAILABLE_ONLINE")


def catalog_of(config: RepoConfig, registry: BaseRegistry) -> Catalog:
    """The catalog of a registry as it is in the cache or, where that is old, in its store.

    With another online store than boxplat's it has no folder of rows.
    """
    from boxplat.features.online.plugin import folder, versioned

    ours = config.online_store is not None and catalog.is_ours(config.online_store.type)
    file = getattr(registry, "_file_path", None)
    # Before anything is read: a change in between makes this catalog old, not wrong.
    stamp = catalog.stamp(Path(file)) if file is not None and Path(file).exists() else {}
    # In this mode Feast itself looks at the file's time; in others its cache may be older than the stamp.
    fresh = not stamp or getattr(registry, "cache_mode", "") == "sync"
    every = registry.list_all_feature_views(config.project, allow_cache=fresh)
    on_demand = {source.name for source in every if _is_on_demand(source)}
    kept = {source.name: source for source in every if source.name not in on_demand}
    return Catalog(
        project=config.project,
        online=folder(config).resolve() if ours else Path(),
        clock=config.online_store.clock if ours else "wall",
        views={name: view(source, versioned=versioned(config)) for name, source in kept.items()},
        versions={source.name: getattr(source, "current_version_number", None) or 0 for source in every},
        sources=_sources(kept.values()),
        services={
            service.name: _service(service, on_demand)
            for service in registry.list_feature_services(config.project, allow_cache=True)
        },
        push_sources=_push_sources(kept.values()),
        on_demand=tuple(sorted(on_demand)),
        closed={source.name: why for source in every if (why := _closed(source))},
        entities={
            entity.name: entity.join_key
            for entity in registry.list_entities(config.project, allow_cache=True)
            if entity.join_key != NO_ENTITY
        },
        stamp=stamp,
    )


def _is_on_demand(source: Any) -> bool:
    return not getattr(source, "write_to_online_store", True)


def _closed(source: Any) -> str:
    """Why Feast would refuse to serve a view; empty where it does not."""
    if not getattr(source, "enabled", True):
        return "it is disabled"
    state = getattr(source, "state", None)
    name = getattr(state, "name", "STATE_UNSPECIFIED")
    return "" if name in _SERVED else f"it is in state {name}"


def _service(service: Any, on_demand: set[str]) -> Service:
    parts = service.feature_view_projections
    return Service(
        name=service.name,
        projections=tuple(
            Projection(
                view=part.name,
                alias=part.name_to_use(),
                fields=tuple(column.name for column in part.features),
                key_map=dict(part.join_key_map),
            )
            for part in parts
        ),
        # A view pinned to a version other than the current one is also Feast's to find.
        on_demand=any(part.name in on_demand or part.version_tag is not None for part in parts),
    )


def _sources(views: Iterable[Any]) -> dict[str, Source]:
    found = {}
    for source in views:
        batch = getattr(source, "batch_source", None)
        if batch is not None:
            found[source.name] = Source(
                timestamp=batch.timestamp_field or "",
                created=batch.created_timestamp_column or "",
                path=str(getattr(batch, "path", "") or ""),
                mapping=dict(batch.field_mapping or {}),
            )
    return found


def _push_sources(views: Iterable[Any]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for source in views:
        pushed = getattr(source, "stream_source", None) or getattr(source, "source", None)
        if pushed is not None and type(pushed).__name__ == "PushSource":
            found.setdefault(pushed.name, []).append(source.name)
    return {name: tuple(sorted(fed)) for name, fed in found.items()}
