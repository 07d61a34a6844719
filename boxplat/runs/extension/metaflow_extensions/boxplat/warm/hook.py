"""Before a flow's command line is read: a task waits for its lease, a scheduler starts its warm tasks' server."""

import functools
import importlib
import os
from typing import Any

from .command import command_of

TASKS = frozenset({"step", "spin-step"})


def install() -> None:
    """Have every flow go through here before Metaflow reads its command line."""
    flowspec: Any = importlib.import_module("metaflow.flowspec")
    original = flowspec.FlowSpec.__init__

    @functools.wraps(original)
    def initialise(self: Any, use_cli: bool = True) -> None:
        if use_cli:
            _keep_version()
            _before(type(self))
        original(self, use_cli)

    flowspec.FlowSpec.__init__ = initialise


def _keep_version() -> None:
    """Take this extension out of the version that Metaflow shows and stores with every task: it changes no result."""
    metaflow: Any = importlib.import_module("metaflow")
    own = __name__.partition(".warm.")[0] + "."
    metaflow.__ext_tl_modules__[:] = [row for row in metaflow.__ext_tl_modules__ if not row[1].__name__.startswith(own)]


def _before(flow: type) -> None:
    if "BOXPLAT_CLAIM" in os.environ and command_of(flow) in TASKS:
        importlib.import_module("boxplat.runs.gate").hold()
