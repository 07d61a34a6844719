"""Which runs led to an event: flows that start each other in a circle by events that no file shows."""

from __future__ import annotations

from collections.abc import Sequence

from boxplat.core.errors import BoxError
from boxplat.core.state import StateStore
from boxplat.core.state.schedules import Arrival


def circle(state: StateStore, name: str, arrivals: Sequence[Arrival]) -> str:
    """Why a flow must not start with events: its own run led to them; empty where none did."""
    todo: list[tuple[int | None, tuple[str, ...]]] = [(one.run_id, ()) for one in arrivals if one.run_id is not None]
    seen: set[int] = set()
    while todo:
        number, way = todo.pop()
        if number is None or number in seen:
            continue
        seen.add(number)
        try:
            run = state.runs.get(number)
        except BoxError:
            continue  # removed since
        here = (f"{run.name} (run {run.id})", *way)
        if run.name == name:
            return f"it would start itself for ever: {' → '.join((*here, name))}"
        todo += [(int(cause), here) for cause in run.options.get("causes", ())]
    return ""
