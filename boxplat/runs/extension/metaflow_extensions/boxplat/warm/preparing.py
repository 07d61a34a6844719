"""What the server of warm tasks does once, so that no task has to."""

import importlib
import os
from typing import Any

from . import doubts

_NEEDED = (
    "metaflow.runtime",
    "metaflow.plugins.cards.card_creator",
    "metaflow.metaflow_git",
    "metaflow.metaflow_version",
)
_LOADED = (
    "metaflow.cli_components.step_cmd",
    "metaflow.task",
    "metaflow.clone_util",
    "metaflow.plugins.cards.card_cli",
)


def missing(flow: type) -> str | None:
    """What this version of Metaflow lacks of all that is used of its inside, if anything."""
    for name in _NEEDED:
        try:
            why: str | None = doubts.names_missing(_module(flow, name))
        except ImportError as error:
            why = f"this version of Metaflow lacks a module: {error}"
        if why is not None:
            return why
    return None


def load(flow: type) -> None:
    """Import what tasks import, and find out what each would find out anew."""
    for name in _LOADED:
        _module(flow, name)
    version: Any = _module(flow, "metaflow.metaflow_version")
    version.get_version()
    version.get_version(public=True)
    if "BOXPLAT_RUN_ID" in os.environ:
        importlib.import_module("boxplat.runs.gate").prepare()


def _module(flow: type, name: str) -> Any:
    parameters: Any = importlib.import_module("metaflow.parameters")
    with parameters.flow_context(flow):
        return importlib.import_module(name)
