"""What the server of warm tasks does once, so that no task has to."""

import importlib
import os
import sys
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


def find_out() -> None:
    """What the scheduler and every task ask git for: here once for all of them, as it is when the run begins."""
    version: Any = importlib.import_module("metaflow.metaflow_version")
    version.get_version()
    version.get_version(public=True)
    repository: Any = importlib.import_module("metaflow.metaflow_git")
    repository.get_repository_info(path=os.path.dirname(os.path.abspath(sys.argv[0])))


def load(flow: type) -> None:
    """Import what every task imports, the gate that its lease is waited for at too."""
    for name in _LOADED:
        _module(flow, name)
    if "BOXPLAT_RUN_ID" in os.environ:
        importlib.import_module("boxplat.runs.gate").prepare()


def load_for_cards(flow: type) -> None:
    """Import what making a card imports: to find its command, Metaflow loads every command there is."""
    click: Any = importlib.import_module("metaflow._vendor.click")
    start = _module(flow, "metaflow.cli").start
    start.list_commands(click.Context(start))
    _module(flow, "metaflow.plugins.cards.card_modules.chevron")


def _module(flow: type, name: str) -> Any:
    parameters: Any = importlib.import_module("metaflow.parameters")
    with parameters.flow_context(flow):
        return importlib.import_module(name)
