"""Recording what a resumed run takes over from its origin."""

import functools
import importlib
import inspect
import time
from collections.abc import Callable
from typing import Any

from .spool_writer import harmless, write


def record_clones() -> None:
    """Have every task that this scheduler clones recorded, once it is cloned.

    Metaflow calls no decorator for a cloned task, and what its scheduler logs cannot be relied on: the threads that
    clone write their lines piece by piece and so into each other's, and tell of no node of a @parallel step but one.
    """
    runtime: Any = importlib.import_module("metaflow.runtime")
    runtime.clone_task_helper = recorded(runtime.clone_task_helper)


def recorded(clone: Callable[..., None]) -> Callable[..., None]:
    """Metaflow's function that clones one task, with a record of every task that it cloned."""
    signature = inspect.signature(clone)

    @functools.wraps(clone)
    def recording(*args: Any, **kwargs: Any) -> None:
        clone(*args, **kwargs)
        _cloned(signature, args, kwargs)

    return recording


@harmless
def _cloned(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given = signature.bind(*args, **kwargs).arguments
    run, step, task = (str(given[name]) for name in ("run_id", "step_name", "task_id"))
    write({"kind": "clone", "at": time.time(), "run": run, "step": step, "task": task})
