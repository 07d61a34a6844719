"""Desired and live state of a box in SQLite; the only place with SQL.

Every change and the event that reports it are one transaction. Readers never block the writer (WAL).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["StateStore"]

if TYPE_CHECKING:
    from boxplat.core.state.store import StateStore


def __getattr__(name: str) -> Any:
    # Every task of a flow uses two of these modules, and no more.
    if name == "StateStore":
        from boxplat.core.state.store import StateStore

        return StateStore
    raise AttributeError(f"module 'boxplat.core.state' has no attribute {name!r}")
