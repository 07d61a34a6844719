"""The event that a run has brought features online with Feast's own calls, once all of them are through."""

from __future__ import annotations

from collections.abc import Mapping

from boxplat.core.state import StateStore

_KIND = "features.materialized"
_LOOKED_AT = 50


def tell(state: StateStore, run_id: int, rows: Mapping[str, int]) -> None:
    """Publish `features.materialized` for a run, unless one of its steps did so with `box features materialize`.

    Args:
        rows: by view.
    """
    known = state.events.all(subject="features", limit=_LOOKED_AT)
    if rows and not any(event.kind == _KIND and event.data.get("in_run") == run_id for event in known):
        facts = {"rows": dict(rows), "failed": [], "by": f"run/{run_id}", "in_run": run_id}
        state.events.append("features", _KIND, facts)
