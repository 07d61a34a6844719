"""Requests resolved against the catalog. Knows nothing of Feast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.features.catalog import Catalog, Projection
from boxplat.features.online.request import Part, Plan, types_of
from boxplat.features.schema import View

_APPLY = "box features apply"


class NeedsFeast(Exception):
    """A request that is more than reading: Feast has to answer it."""


def resolve(catalog: Catalog, features: str | Sequence[str], full: bool) -> Plan:
    """The plan of a request.

    Args:
        features: a feature service's name, or references `view:feature`, in one text (separated by commas) or several.
        full: results are named `view__feature`, so that views may have features of the same name.

    Raises:
        BoxError: a service, view or feature that does not exist (exit code 9), or equal names in one answer (2).
        NeedsFeast: it has on-demand transformations, pinned versions, or a view that may not be served now.
    """
    wanted = _projections(catalog, features)
    for projection in wanted:
        if projection.view in catalog.on_demand or projection.view in catalog.closed:
            raise NeedsFeast(projection.view)
    parts = tuple(_part(catalog.views[projection.view], projection) for projection in wanted)
    _refuse_doubles(parts, full)
    keys = {key.name for view in catalog.views.values() for key in view.keys}
    return Plan(
        parts=parts,
        types=types_of(parts),
        echoed=frozenset(keys | set(catalog.entities.values()) | set(types_of(parts))),
        renamed={name: key for name, key in catalog.entities.items() if name != key},
        versions=tuple(
            (part.label, catalog.versions.get(item.view, 0)) for part, item in zip(parts, wanted, strict=True)
        ),
    )


def references(features: str | Iterable[str]) -> list[str] | None:
    """The references of a request; None for a service's name."""
    if not isinstance(features, str):
        return list(features)
    return [part.strip() for part in features.split(",") if part.strip()] if ":" in features else None


def _projections(catalog: Catalog, features: str | Sequence[str]) -> Sequence[Projection]:
    wanted = references(features)
    if wanted is None:
        service = catalog.services.get(str(features))
        if service is None:
            raise not_found("feature service", str(features), catalog.services, _APPLY)
        if service.on_demand:
            raise NeedsFeast(service.name)
        return service.projections
    fields: dict[str, list[str]] = {}
    for reference in wanted:
        view, _, feature = reference.partition(":")
        if "@" in view:
            raise NeedsFeast(reference)
        _check(catalog, view, feature)
        fields.setdefault(view, []).append(feature)
    return [Projection(view, view, tuple(names), {}) for view, names in fields.items()]


def _check(catalog: Catalog, view: str, feature: str) -> None:
    if view in catalog.on_demand:
        raise NeedsFeast(view)
    if view not in catalog.views:
        raise not_found("feature view", view, [*catalog.views, *catalog.on_demand], _APPLY)
    known = [field.name for field in catalog.views[view].fields]
    if feature not in known:
        raise not_found(f"feature of {view}", feature, known, _APPLY)


def _part(view: View, projection: Projection) -> Part:
    keys: Mapping[str, str] = projection.key_map
    return Part(
        view, projection.alias, projection.fields, tuple((key.name, keys.get(key.name, key.name)) for key in view.keys)
    )


def _refuse_doubles(parts: Iterable[Part], full: bool) -> None:
    counts = Counter(name for part in parts for name, _ in part.names(full))
    doubles = sorted(name for name, count in counts.items() if count > 1)
    if doubles:
        raise BoxError(
            f"several features would be called {', '.join(doubles)}",
            why="the request names a feature twice, or features of the same name in several views",
            fix="ask for full names (view__feature), and for each feature once",
            code=ExitCode.USAGE,
        )
