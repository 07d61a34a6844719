"""Online features by key, with the state of each and the age of each view; and what the registry holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features import known
from boxplat.features.repository import environment, explained, folder, opened
from boxplat.features.schema import STATUSES

if TYPE_CHECKING:
    from boxplat.features.online.answer import Answer


def get(paths: Paths, config: Config, service: str, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read the online store.

    Args:
        service: a feature service, a feature view (all its features), or references as `view:feature,view:feature`.
        keys: one mapping of join keys per row.

    Returns:
        Per row `keys`, `features` (by `view__feature`; None where there is no value), `status` (likewise: PRESENT,
        NULL_VALUE, NOT_FOUND, or OUTSIDE_MAX_AGE for what is older than its view's life time) and `age_seconds` (by
        view: since the stored row's event time; None where nothing is stored).

    Raises:
        BoxError: unknown service or view (exit code 9); no rows, or keys that do not fit (2).
    """
    _check(keys)
    repo = folder(paths, config)
    service = _meant(paths, config, service)
    rows = [dict(row) for row in keys]
    fix = f"give every key of {service} in each row, in its type; the views' keys are in {repo}"
    with explained(f"cannot read {service} for these keys", repo, ExitCode.USAGE, fix):
        answer = _at_once(paths, config, repo, service, rows) or _through_feast(paths, config, service, rows)
    return _rows(answer, rows)


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


def _meant(paths: Paths, config: Config, name: str) -> str:
    """What is named, as Feast knows it: references in place of a view's name, which could also be a service's."""
    if ":" in name:
        return name
    found = known.catalog(paths, config)
    if name in found.services or name not in found.views:
        return name
    return ",".join(f"{name}:{field.name}" for field in found.views[name].fields)


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


def _at_once(paths: Paths, config: Config, repo: Path, service: str, rows: list[dict[str, Any]]) -> Answer | None:
    """The answer without Feast, which takes seconds to load; None where only Feast has it."""
    from boxplat.features import reader

    with environment(child_environment(paths, config)):
        return reader.open(repo).at_once(service, rows, full_feature_names=True)


def _through_feast(paths: Paths, config: Config, service: str, rows: list[dict[str, Any]]) -> Answer:
    with opened(paths, config, _unheard) as store:
        from boxplat.features.online.foreign import FeastReader

        return FeastReader(store).read(service, rows, full_feature_names=True, now_us=None)


def _rows(answer: Answer, keys: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    values = {name: answer.python(name) for name in answer.names}
    statuses = {name: answer.statuses(name).tolist() for name in answer.names}
    ages = {view: answer.age_seconds(name).tolist() for name, view in answer.views.items()}
    return [
        {
            "keys": row,
            "features": {name: column[index] for name, column in values.items()},
            "status": {name: STATUSES[column[index]] for name, column in statuses.items()},
            "age_seconds": {view: _age(column[index]) for view, column in ages.items()},
        }
        for index, row in enumerate(keys)
    ]


def _age(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds, 3)
