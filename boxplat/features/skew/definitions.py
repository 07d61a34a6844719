"""What each feature of a service is declared as, in a digest: to tell later whether it was declared anew."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features import catalog
from boxplat.features.catalog import Catalog, Projection
from boxplat.features.repository import folder


def digests(paths: Paths, config: Config, service: str | None) -> dict[str, str]:
    """By feature (`view__feature`) a digest of its definition: type, keys, life time, source, transformation.

    Returns:
        Nothing where the registry has no such service, or no catalog tells what is in it.
    """
    if not service:
        return {}
    try:
        known = catalog.load(folder(paths, config))
    except BoxError as error:
        if error.code is not ExitCode.NOT_FOUND:
            raise
        return {}
    if known is None or service not in known.services:
        return {}
    found = {}
    for part in known.services[service].projections:
        for name in part.fields:
            text = json.dumps(_declared(known, part, name), sort_keys=True, default=str)
            found[f"{part.alias}__{name}"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def _declared(known: Catalog, part: Projection, name: str) -> list[Any]:
    """What a feature's values follow from. A view's version changes with its schema and its transformation."""
    view, source = known.views.get(part.view), known.sources.get(part.view)
    if view is None:
        return [part.view, known.versions.get(part.view, 0), dict(part.key_map)]
    kinds = {field.name: field.type for field in view.fields}
    keys = [(key.name, key.type, part.key_map.get(key.name, key.name)) for key in view.keys]
    where = [source.timestamp, source.created, source.path, dict(source.mapping)] if source else []
    return [part.view, kinds.get(name), keys, view.ttl_us, where]
