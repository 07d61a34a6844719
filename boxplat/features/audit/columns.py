"""Who declares a column: a feature view, an entity, a request source, or the settings of the audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths
from boxplat.features import catalog
from boxplat.features.repository import Told, folder, opened

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore


@dataclass(frozen=True)
class Declared:
    """Names of the declared `features`, and of the `keys` and request fields; `where` says who declares them."""

    features: frozenset[str]
    keys: frozenset[str]
    where: str


def of_settings(features: Sequence[str]) -> Declared:
    """The features that the settings list."""
    return Declared(frozenset(features), frozenset(), "[audit] features")


def of_service(paths: Paths, config: Config, service: str, told: Told) -> Declared:
    """The features of a feature service (also as `view__feature`), the keys of its views and the request's fields.

    Raises:
        BoxError: the registry has no such service (exit code 9).
    """
    known = catalog.load(folder(paths, config))
    if known is not None and service in known.services and not known.services[service].on_demand:
        features: set[str] = set()
        keys: set[str] = set()
        for part in known.services[service].projections:
            features |= {name for field in part.fields for name in (field, f"{part.alias}__{field}")}
            keys |= {part.key_map.get(key.name, key.name) for key in known.views[part.view].keys}
        return Declared(frozenset(features), frozenset(keys), f"feature service {service}")
    with opened(paths, config, told) as store:
        return of_feast(store, service_of(store, service))


def service_of(store: FeatureStore, name: str) -> FeatureService:
    """A feature service by its name.

    Raises:
        BoxError: the registry has none of that name (exit code 9).
    """
    services = {found.name: found for found in store.list_feature_services()}
    if name not in services:
        raise not_found("feature service", name, services, "box features apply")
    return services[name]


def of_feast(store: FeatureStore, service: FeatureService) -> Declared:
    """`of_service` for a service of an opened repository."""
    views = {view.name: view for view in store.list_all_feature_views()}
    features: set[str] = set()
    keys: set[str] = set()
    for projection in service.feature_view_projections:
        alias = str(projection.name_to_use())  # type: ignore[no-untyped-call]
        features |= {name for field in projection.features for name in (field.name, f"{alias}__{field.name}")}
        view = views[projection.name]
        keys |= {projection.join_key_map.get(key, key) for key in getattr(view, "join_keys", ())}
        keys |= set(_requested(view))
        for base in getattr(view, "source_feature_view_projections", {}).values():
            keys |= set(getattr(views[base.name], "join_keys", ()))
    return Declared(frozenset(features), frozenset(keys), f"feature service {service.name}")


def _requested(view: object) -> Iterator[str]:
    for request in getattr(view, "source_request_sources", {}).values():
        yield from (field.name for field in request.schema)


def undeclared(columns: Sequence[str], declared: Declared, derived: Mapping[str, str]) -> list[str]:
    """Columns that nobody declares; a derived column must be made of a declared one.

    Raises:
        BoxError: it is made of one that nobody declares (exit code 2).
    """
    names = declared.features | declared.keys
    for column, base in derived.items():
        if column in columns and base not in names:
            raise BoxError(
                f"derived column {column!r} is made of {base!r}, which nobody declares",
                why=f"{declared.where} has no feature of that name",
                fix="correct [audit] derived in boxplat.toml",
                code=ExitCode.USAGE,
            )
    return [column for column in columns if column not in names and column not in derived]
