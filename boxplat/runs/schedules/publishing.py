"""An event of somebody's own: from the command line, from Python, or from a step by Metaflow's `ArgoEvent`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.state import StateStore
from boxplat.runs.schedules.names import PUBLISHED, reserved, well_formed

_MOST_BYTES = 100_000


def append(state: StateStore, name: str, payload: Mapping[str, Any], by: str) -> BoxError | None:
    """Put an event into the log, or say there that it was refused, and return why."""
    refusal = _refusal(name, payload)
    if refusal is None:
        state.events.append(f"event/{name}", PUBLISHED, {"name": name, "payload": dict(payload), "by": by})
    else:
        state.events.append("schedule", "event.refused", {"name": name, "why": refusal.why, "by": by})
    return refusal


def _refusal(name: str, payload: Mapping[str, Any]) -> BoxError | None:
    if not well_formed(name) or reserved(name):
        own = "names that begin with it are published by boxplat alone" if well_formed(name) else ""
        return BoxError(
            f"{name!r} is no name for an event of yours",
            why=own or "a name has letters, digits, '_', '-' and '.', as Argo Events has it",
            fix="box events publish my.event --payload key=value",
            code=ExitCode.USAGE,
        )
    size = len(json.dumps(dict(payload), default=str))
    if size > _MOST_BYTES:
        return BoxError(
            f"the payload of {name!r} has {size} bytes",
            why=f"at most {_MOST_BYTES} are kept: an event says where data are, it does not carry them",
            fix=f"box events publish {name} --payload path=FILE",
            code=ExitCode.USAGE,
        )
    return None
