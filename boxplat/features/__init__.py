"""Features: a project's Feast repository registered, materialized and read. Feast is imported inside functions.

`feature_store.yaml` names the stores and the engine by this package, as in `type: boxplat.features.BoxOnlineStore`.
"""

from importlib import import_module
from typing import Any

from boxplat.features.definitions import apply
from boxplat.features.loading import materialize
from boxplat.features.reading import get, views

__all__ = ["apply", "get", "materialize", "views"]

# Where Feast's plug-ins are defined; each module imports Feast, so only when it is asked for.
_PLUGINS = {
    "BoxOfflineStore": "boxplat.features.offline.plugin",
    "BoxOnlineStore": "boxplat.features.online.plugin",
    "BoxComputeEngine": "boxplat.features.engine.plugin",
}


def __getattr__(name: str) -> Any:
    home = _PLUGINS.get(name.removesuffix("Config"))
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
