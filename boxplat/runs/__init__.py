"""Runs: from a queued flow to rows in the state and a run in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["cancel", "start", "wait"]

if TYPE_CHECKING:
    from boxplat.runs.control import cancel, start, wait


def __getattr__(name: str) -> Any:
    # Every task of a flow imports a module of this package (the gate), and none of them the verbs.
    if name in __all__:
        from boxplat.runs import control

        return getattr(control, name)
    raise AttributeError(f"module 'boxplat.runs' has no attribute {name!r}")
