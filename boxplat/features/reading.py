"""Online features by key, with the age of each view; and what the registry holds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths
from boxplat.features.repository import explained, folder, opened

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

# Of every result: `view__feature` → (view, feature).
Names = dict[str, tuple[str, str]]


def get(paths: Paths, config: Config, service: str, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read the online store.

    Args:
        service: a feature service, or references as `view:feature,view:feature`.
        keys: one mapping of join keys per row.

    Returns:
        Per row `keys`, `features` (by `view__feature`; None where nothing is stored) and `age_seconds` (by view: since
        the stored row's event time; None where nothing is stored).

    Raises:
        BoxError: unknown service or view (exit code 9); no rows, or keys that do not fit (2).
    """
    _check(keys)
    with opened(paths, config, _unheard) as store:
        features, names = _wanted(store, service)
        repo = folder(paths, config)
        fix = f"give every key of {service} in each row, in its type; the views' keys are in {repo}"
        with explained(f"cannot read {service} for these keys", repo, ExitCode.USAGE, fix):
            rows = [dict(row) for row in keys]
            answer = store.get_online_features(features, rows, full_feature_names=True)
            columns = answer.to_dict(include_event_timestamps=True)
    return [_row(dict(keys[index]), columns, names, index) for index in range(len(keys))]


def views(paths: Paths, config: Config) -> list[dict[str, Any]]:
    """Every feature view in the registry: its keys, features, life time and how far it is materialized.

    Returns:
        Per view `name`, `keys`, `features`, `ttl_seconds` (None: for ever), `online`, and `materialized_until` (ISO
        time, or None).
    """
    with opened(paths, config, _unheard) as store:
        found = sorted(store.list_feature_views(), key=lambda view: view.name)
        return [
            {
                "name": view.name,
                "keys": list(view.join_keys),
                "features": [field.name for field in view.features],
                "ttl_seconds": view.ttl.total_seconds() if view.ttl else None,
                "online": view.online,
                "materialized_until": view.most_recent_end_time.isoformat() if view.most_recent_end_time else None,
            }
            for view in found
        ]


def _check(keys: Sequence[Mapping[str, Any]]) -> None:
    """Feast reads rows column by column: of rows with different keys it would mix up the entities."""
    fix = """give a list: '[{"origin": "JFK"}, {"origin": "LGA"}]'"""
    if not keys or not all(isinstance(row, Mapping) for row in keys):
        why = "at least one row, each an object of keys and values, is needed"
        raise BoxError("no entity keys given", why=why, fix=fix, code=ExitCode.USAGE)
    odd = next((row for row in keys if row.keys() != keys[0].keys()), None)
    if odd is not None:
        why = f"one has {sorted(keys[0])}, another {sorted(odd)}"
        raise BoxError("the rows have different keys", why=why, fix=fix, code=ExitCode.USAGE)


def _unheard(_: str) -> None:
    """What Feast prints while it reads is of no interest."""


def _wanted(store: FeatureStore, text: str) -> tuple[FeatureService | list[str], Names]:
    if ":" in text:
        return _references(store, text)
    services = {service.name: service for service in store.list_feature_services()}
    if text not in services:
        raise not_found("feature service", text, services, "box features apply")
    names: Names = {}
    for projection in services[text].feature_view_projections:
        view = str(projection.name_to_use())  # type: ignore[no-untyped-call]
        names.update({f"{view}__{field.name}": (view, field.name) for field in projection.features})
    return services[text], names


def _references(store: FeatureStore, text: str) -> tuple[list[str], Names]:
    known = {view.name: [field.name for field in view.features] for view in store.list_all_feature_views()}
    references = [part.strip() for part in text.split(",") if part.strip()]
    names: Names = {}
    for reference in references:
        view, _, feature = reference.partition(":")
        if view not in known:
            raise not_found("feature view", view, known, "box features apply")
        if feature not in known[view]:
            raise not_found(f"feature of {view}", feature, known[view], "box features apply")
        names[f"{view}__{feature}"] = (view, feature)
    return references, names


def _row(keys: dict[str, Any], columns: Mapping[str, list[Any]], names: Names, index: int) -> dict[str, Any]:
    stamps: dict[str, int] = {}
    for name, (view, _) in names.items():
        stamps[view] = max(stamps.get(view, 0), columns[f"{name}__ts"][index])
    now = time.time()
    return {
        "keys": keys,
        "features": {name: columns[name][index] for name in names},
        "age_seconds": {view: round(now - stamp, 3) if stamp > 0 else None for view, stamp in stamps.items()},
    }
