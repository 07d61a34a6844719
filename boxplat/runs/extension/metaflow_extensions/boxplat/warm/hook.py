"""Before a flow's command line is read: a task waits for its lease, a scheduler starts its warm tasks' server."""

import functools
import importlib
import os
import sys
from typing import Any

from .command import command_of

SCHEDULERS = frozenset({"run", "resume", "spin"})
TASKS = frozenset({"step", "spin-step"})


def install() -> None:
    """Have every flow go through here before Metaflow reads its command line."""
    if _wanted():
        # It has to see what was there before the flow's own modules are imported.
        importlib.import_module("metaflow_extensions.boxplat.warm.doubts")
    flowspec: Any = importlib.import_module("metaflow.flowspec")
    original = flowspec.FlowSpec.__init__

    @functools.wraps(original)
    def initialise(self: Any, use_cli: bool = True) -> None:
        ending = None
        if use_cli:
            _keep_version()
            ending = _before(type(self))
        if ending is None:
            original(self, use_cli)
            return
        try:
            original(self, use_cli)
        except SystemExit as over:
            ending.leave(over.code)
            raise

    flowspec.FlowSpec.__init__ = initialise


def _keep_version() -> None:
    """Take this extension out of the version that Metaflow shows and stores with every task: it changes no result."""
    metaflow: Any = importlib.import_module("metaflow")
    own = __name__.partition(".warm.")[0] + "."
    metaflow.__ext_tl_modules__[:] = [row for row in metaflow.__ext_tl_modules__ if not row[1].__name__.startswith(own)]


def _before(flow: type) -> Any:
    """What comes before the command line of this flow; in a warm task, how that task is to end."""
    ending = None
    if _wanted() and command_of(flow) in SCHEDULERS:
        frame = sys._getframe(2)
        ending = importlib.import_module("metaflow_extensions.boxplat.warm.starter").start(flow, frame)
    if "BOXPLAT_CLAIM" in os.environ and command_of(flow) in TASKS:
        importlib.import_module("boxplat.runs.gate").hold()
    return ending


def _wanted() -> bool:
    return os.environ.get("BOXPLAT_RUN_WARM", "").lower() in ("true", "yes", "on", "1")
