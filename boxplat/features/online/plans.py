"""Requests resolved against Feast's registry once, and kept until it changes. Imports Feast."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from feast import utils
from feast.errors import FeastError
from feast.feature_service import FeatureService
from feast.infra.registry.base_registry import BaseRegistry

from boxplat.features.online.refusals import refusal
from boxplat.features.online.request import Part, Plan, types_of
from boxplat.features.online.views import NO_ENTITY, view

Features = list[str] | FeatureService
# More kinds of requests than this at once are no kinds: somebody makes services by the request.
_MOST = 512


class Plans:
    """The plans of one store.

    A plan is good as long as the cached registry is the same state of the same registry: each commit gives the registry
    a new version. A registry file that another process wrote is noticed by its time, as Feast itself does.
    """

    def __init__(self) -> None:
        self._state: Hashable = None
        self._found: dict[Hashable, Plan] = {}
        self._services: dict[int, tuple[FeatureService, Hashable]] = {}
        self._known_state: Hashable = None

    def changed(self) -> bool:
        """Whether the registry is in another state than when this was last asked."""
        before, self._known_state = self._known_state, self._state
        return before != self._state

    def find(self, registry: BaseRegistry, project: str, features: Features, full: bool, versioned: bool) -> Plan:
        """The plan of a request.

        Raises:
            BoxError: features that do not exist, collide, or may not be served; of Feast's own class for that too.
        """
        current = state(registry)
        if current is None or current != self._state:
            self.forget()
        key = (self._identity(features), project, full)
        known = self._found.get(key)
        if known is not None:
            return known
        plan = _resolved(registry, project, features, full, versioned)
        after = state(registry)
        if self._state != after or len(self._found) >= _MOST:
            self.forget()
        self._state = after
        if after is not None:
            self._found[key] = plan
        return plan

    def forget(self) -> None:
        """Resolve every request anew."""
        self._found.clear()
        self._services.clear()
        self._state = None

    def _identity(self, features: Features) -> Hashable:
        if not isinstance(features, FeatureService):
            return tuple(features)
        known = self._services.get(id(features))
        if known is None:
            # Held, so that no other object can come to have this identity.
            known = self._services[id(features)] = (features, _contents(features))
        return known[1]


class Serving:
    """A registry for resolving requests: views are served while they are materialized, since their rows are swapped at
    once, and what services hold is looked up (Feast's cache of that misses the changes of other processes)."""

    serve_features_while_materializing = True

    def __init__(self, registry: BaseRegistry) -> None:
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        if name == "_feature_service_cache":
            raise AttributeError(name)
        return getattr(self._registry, name)


def state(registry: BaseRegistry) -> Hashable:
    """What tells one state of a cached registry from the next; None where Feast has to look again."""
    if not registry.is_cache_valid():
        return None
    path = getattr(registry, "_file_path", None)
    if path is not None and getattr(registry, "cache_mode", "") == "sync":
        try:
            seen = getattr(registry, "_file_mtime", None)
            if seen is None or os.stat(path).st_mtime > seen:
                return None
        except FileNotFoundError:
            return None
    proto = getattr(registry, "cached_registry_proto", None)
    # A refresh that finds the same version changes nothing; some registries have no versions.
    version = getattr(proto, "version_id", "") or getattr(registry, "cached_registry_proto_created", None)
    return (id(registry), version) if version else None


def _contents(service: FeatureService) -> Hashable:
    return service.name, tuple(
        (
            projection.name,
            projection.name_alias,
            projection.version_tag,
            tuple(projection.join_key_map.items()),
            tuple(field.name for field in projection.features),
        )
        for projection in service.feature_view_projections
    )


def _resolved(registry: BaseRegistry, project: str, features: Features, full: bool, versioned: bool) -> Plan:
    try:
        context = utils._get_online_request_context(Serving(registry), project, features, full)
    except (FeastError, KeyError, ValueError) as error:
        raise refusal(error, registry, project, features) from error
    references, on_demand, join_keys, _, echoed, grouped, *_ = context
    order = _order(references)
    parts = tuple(part_of(source, asked, order, versioned) for source, asked in grouped)
    return Plan(
        parts=parts,
        types=types_of(parts),
        echoed=frozenset(echoed) - {NO_ENTITY},
        renamed={name: key for name, key in join_keys.items() if name != key and name not in echoed},
        versions=tuple(version_of(source) for source, _ in grouped),
        on_demand=any(not source.write_to_online_store for source in on_demand),
    )


def _order(references: Sequence[str]) -> Mapping[tuple[str, str], int]:
    """Place of each feature in the request; Feast's own order within a view is that of a set, different each time."""
    found: dict[tuple[str, str], int] = {}
    for place, reference in enumerate(references):
        name, version, feature = utils._parse_feature_ref(reference)
        found.setdefault((name if version is None else f"{name}@v{version}", feature), place)
    return found


def part_of(source: Any, asked: Sequence[str], order: Mapping[tuple[str, str], int], versioned: bool) -> Part:
    """What a request reads of one of Feast's views."""
    label, stored = source.projection.name_to_use(), view(source, versioned=versioned)
    aliases = source.projection.join_key_map
    return Part(
        view=stored,
        label=label,
        fields=tuple(sorted(asked, key=lambda name: order.get((label, name), len(order)))),
        keys=tuple((key.name, aliases.get(key.name, key.name)) for key in stored.keys),
    )


def version_of(source: Any) -> tuple[str, int]:
    """A view's name and current version, as Feast's responses tell them."""
    projection = source.projection
    return projection.name_alias or projection.name, getattr(source, "current_version_number", None) or 0
