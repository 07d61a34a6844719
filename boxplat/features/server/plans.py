"""Requests resolved against the catalog: which rows of which views, under which names. Errors are those of Feast."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from boxplat.features.catalog import Catalog
from boxplat.features.online.request import Part, Plan, types_of
from boxplat.features.schema import View
from boxplat.features.server import encoding, refusal
from boxplat.features.server.refusal import Refused

_VERSION = re.compile(r"[vV]\d+")
_SHORT = (
    "To resolve this collision, either use the full feature name by setting 'full_feature_names=True', or ensure that "
    "the features in question have different names."
)
_FULL = (
    "To resolve this collision, please ensure that the feature views or their own features have different names. If "
    "you're intentionally joining the same feature view twice on different sets of entities, please rename one of the "
    "feature views with '.with_name'."
)


@dataclass(frozen=True)
class Prepared:
    """A plan with all that can be known of its answers beforehand.

    Attributes:
        types: by part, the fields' `ValueType`s.
        encoders: by part, how the fields' values are sent.
        names: the features' names in the answer, as the inner text of a JSON list.
        width: number of features.
        versions: more members of `metadata` for answers that tell the views' versions.
    """

    plan: Plan
    types: tuple[tuple[str, ...], ...]
    encoders: tuple[tuple[encoding.Encode, ...], ...]
    names: str
    width: int
    versions: str


def prepared(plan: Plan, full: bool) -> Prepared:
    """The plan with its names and types looked up."""
    types = []
    for part in plan.parts:
        known = {field.name: field.type for field in part.view.fields}
        types.append(tuple(known[name] for name in part.fields))
    names = [name for part in plan.parts for name, _ in part.names(full)]
    encoders = tuple(tuple(map(encoding.encoder, part)) for part in types)
    text = encoding.inner(names)
    return Prepared(plan, tuple(types), encoders, text, len(names), encoding.versions(plan.versions))


# What nobody but Feast can answer.
FOR_FEAST = prepared(Plan(parts=(), types={}, on_demand=True), False)


def service_plan(catalog: Catalog, name: str, full: bool) -> Prepared:
    """The plan of a feature service.

    Raises:
        Refused: there is no such service, its names collide, or a view of it is closed.
    """
    service = catalog.services.get(name)
    if service is None:
        message = f"Feature service {name} does not exist in project {catalog.project}"
        raise refusal.of_feast(refusal.NOT_FOUND, "FeatureServiceNotFoundException", message)
    if service.on_demand:
        return FOR_FEAST
    for part in service.projections:
        _open(catalog, part.view)
    _distinct([(part.alias, field) for part in service.projections for field in part.fields], full)
    parts = []
    for part in service.projections:
        view = _known(catalog, part.view)
        keys = tuple((key.name, part.key_map.get(key.name, key.name)) for key in view.keys)
        parts.append(Part(view, part.alias, part.fields, keys))
    return prepared(_plan(catalog, parts, [part.view for part in service.projections]), full)


def list_plan(catalog: Catalog, references: Sequence[str], full: bool) -> Prepared:
    """The plan of features listed as `view:feature`.

    Raises:
        Refused: none, one that does not exist, names that collide, or a closed view.
    """
    if not references:
        raise Refused(refusal.BAD_REQUEST, "No features specified for retrieval")
    asked = [_parsed(reference) for reference in references]
    if any(pinned for _, pinned, _ in asked):
        return FOR_FEAST
    names = list(dict.fromkeys(view for view, _, _ in asked))
    for name in names:
        if name not in catalog.on_demand:
            _known(catalog, name)
        _open(catalog, name)
    _distinct([(view, feature) for view, _, feature in asked], full)
    if set(names) & set(catalog.on_demand):
        return FOR_FEAST
    parts = []
    for name in names:
        view = _known(catalog, name)
        fields = tuple(feature for found, _, feature in asked if found == name)
        for field in fields:
            if field not in {known.name for known in view.fields}:
                raise Refused(refusal.NOT_FOUND, f"'Feature {field} not found in projection {name}'")
        parts.append(Part(view, name, fields, tuple((key.name, key.name) for key in view.keys)))
    return prepared(_plan(catalog, parts, names), full)


def _plan(catalog: Catalog, parts: Sequence[Part], names: Sequence[str]) -> Plan:
    echoed = frozenset({*catalog.entities.values(), *(column for part in parts for _, column in part.keys)})
    return Plan(
        parts=tuple(parts),
        types=types_of(parts),
        echoed=echoed,
        renamed={name: key for name, key in catalog.entities.items() if name not in echoed},
        versions=tuple((part.label, catalog.versions.get(name, 0)) for part, name in zip(parts, names, strict=True)),
    )


def _parsed(reference: str) -> tuple[str, bool, str]:
    """View, whether one of its versions is meant, and feature."""
    view, colon, feature = reference.partition(":")
    if not colon:
        wanted = "Expected format: '<feature_view>:<feature>' or '<feature_view>@<version>:<feature>'"
        raise Refused(refusal.BAD_REQUEST, f"Invalid feature reference '{reference}'. {wanted}")
    name, at, version = view.partition("@")
    if not at or not version or version.lower() == "latest":
        return name, False, feature
    return (name, True, feature) if _VERSION.fullmatch(version) else (view, False, feature)


def _known(catalog: Catalog, name: str) -> View:
    view = catalog.views.get(name)
    if view is None:
        message = f"Feature view {name} does not exist in project {catalog.project}"
        raise refusal.of_feast(refusal.NOT_FOUND, "FeatureViewNotFoundException", message)
    return view


def _open(catalog: Catalog, name: str) -> None:
    why = catalog.closed.get(name, "")
    # A load replaces the rows at once: until then the old ones are good.
    if why and not why.endswith("MATERIALIZING"):
        raise Refused(refusal.CONFLICT, f"Feature view '{name}' cannot serve features: {why}")


def _distinct(names: Iterable[tuple[str, str]], full: bool) -> None:
    counted = Counter(f"{view}__{feature}" if full else feature for view, feature in names)
    twice = ", ".join(name for name, count in counted.items() if count > 1)
    if twice:
        message = f"Duplicate features named {twice} found.\n{_FULL if full else _SHORT}"
        raise refusal.of_feast(refusal.BAD_REQUEST, "FeatureNameCollisionError", message)
