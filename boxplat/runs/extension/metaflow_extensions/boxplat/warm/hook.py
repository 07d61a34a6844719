"""Before a flow's command line is read: a task waits for its lease, a scheduler starts its warm tasks' server."""

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

from .command import command_of

SCHEDULERS = frozenset({"run", "resume", "spin"})
TASKS = frozenset({"step", "spin-step"})


def install() -> None:
    """Have every flow go through here before Metaflow reads its command line.

    FlowSpec.__init__ does that within parameters.flow_context; standing there, and not around __init__ itself, adds no
    line to what a task prints of its stack.
    """
    if _wanted():
        # It has to see what was there before the flow's own modules are imported.
        importlib.import_module("metaflow_extensions.boxplat.warm.doubts")
    code = importlib.import_module("metaflow.flowspec").FlowSpec.__init__.__code__
    parameters: Any = importlib.import_module("metaflow.parameters")
    within = parameters.flow_context

    def flow_context(flow: Any) -> Any:
        caller = sys._getframe(1)
        return Entrance(within, flow, caller) if caller.f_code is code else within(flow)

    parameters.flow_context = flow_context


class Entrance:
    """Metaflow's own context, `within`, of a flow that reads its command line, and what is done around that."""

    def __init__(self, within: Callable[[Any], AbstractContextManager[Any]], flow: type, caller: FrameType) -> None:
        self._within = within(flow)
        self._flow = flow
        self._caller = caller
        self._ending: Any = None

    def __enter__(self) -> Any:
        _keep_version()
        if _wanted() and command_of(self._flow) in SCHEDULERS:
            starter = importlib.import_module("metaflow_extensions.boxplat.warm.starter")
            self._ending = starter.start(self._flow, self._caller.f_back)
        if "BOXPLAT_CLAIM" in os.environ and command_of(self._flow) in TASKS:
            importlib.import_module("boxplat.runs.gate").hold()
        return self._within.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        result = self._within.__exit__(kind, error, trace)
        if self._ending is not None and isinstance(error, SystemExit):
            self._ending.leave(error.code)
        return result


def _keep_version() -> None:
    """Take this extension out of the version that Metaflow shows and stores with every task: it changes no result."""
    metaflow: Any = importlib.import_module("metaflow")
    own = __name__.partition(".warm.")[0] + "."
    metaflow.__ext_tl_modules__[:] = [row for row in metaflow.__ext_tl_modules__ if not row[1].__name__.startswith(own)]


def _wanted() -> bool:
    return os.environ.get("BOXPLAT_RUN_WARM", "").lower() in ("true", "yes", "on", "1")
