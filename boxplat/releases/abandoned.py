"""Changes that nobody makes any more: ended, and the releases made for them have failed."""

from __future__ import annotations

from boxplat.core.state import StateStore
from boxplat.core.state.changes import Change


def abandon(state: StateStore, change: Change, by: str) -> None:
    """End a change that has not moved the traffic, because the process that made it is gone."""
    why = f"the command that made it (pid {change.pid}) ended before the traffic was moved"
    made = [
        release.number
        for release in state.releases.all(change.endpoint)
        if change.kind == "deploy" and release.number in change.weights and release.state == "created"
    ]
    state.releases.abandon(change, made, by, why)
