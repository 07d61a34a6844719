"""The public names of events: what `@trigger(event=...)` may wait for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from boxplat.core.errors import BoxError
from boxplat.core.model import Event, Run

PUBLISHED = "event.published"
PUBLIC: Mapping[str, str] = {
    "run.succeeded": "a run ended well; also run.succeeded.FLOW",
    "run.failed": "a run failed; also run.failed.FLOW",
    "run.cancelled": "a run was cancelled; also run.cancelled.FLOW",
    "features.applied": "the Feast repository was applied",
    "features.materialized": "features were brought online, all views of one call; also features.materialized.VIEW",
    "features.skew": "served features were compared with recomputed ones",
    "features.audited": "a training set was audited",
    "model.promoted": "a version passed its gates and has the alias; also model.promoted.MODEL",
    "model.refused": "a version was refused by its gates; also model.refused.MODEL",
    "model.alias": "an alias was moved without gates; also model.alias.MODEL",
    "release.created": "a release was made; also release.created.ENDPOINT",
    "release.live": "a release got traffic; also release.live.ENDPOINT",
    "release.failed": "a release did not come up; also release.failed.ENDPOINT",
    "endpoint.traffic": "the traffic was divided anew; also endpoint.traffic.ENDPOINT",
    "comparison.verdict": "two releases differ for certain on live outcomes; also comparison.verdict.ENDPOINT",
    "guard.breached": "a release broke a guard-rail and was taken back; also guard.breached.ENDPOINT",
}
# Names below these are boxplat's and Metaflow's; nobody else publishes them.
_RESERVED = frozenset({"metaflow", *(kind.partition(".")[0] for kind in PUBLIC)})
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def reserved(name: str) -> bool:
    """Whether only boxplat publishes events of such a name."""
    return name.partition(".")[0] in _RESERVED


def well_formed(name: str) -> bool:
    """Whether Argo Events and Metaflow know such a name: letters, digits, `_`, `-` and `.`."""
    return _NAME.fullmatch(name) is not None


def told(event: Event, run_of: Callable[[int], Run]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The public names of an event of the log, and its payload; no names where it is not public."""
    if event.kind == PUBLISHED:
        return (str(event.data["name"]),), dict(event.data.get("payload") or {})
    if event.kind not in PUBLIC:
        return (), {}
    payload = {**event.data, "subject": event.subject}
    if event.kind.startswith("run."):
        return _run(event, run_of, payload)
    if event.kind == "features.materialized":
        if event.data.get("failed"):
            return (), {}
        details = [view for view, rows in (event.data.get("rows") or {}).items() if rows]
    else:
        place = event.subject.rpartition("/")[2]
        details = [] if place == event.kind.partition(".")[0] else [place]
    return (event.kind, *(f"{event.kind}.{detail}" for detail in details)), payload


def _run(event: Event, run_of: Callable[[int], Run], payload: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    try:
        run = run_of(int(event.subject.rpartition("/")[2]))
    except (BoxError, ValueError):
        return (), {}  # removed since
    payload |= {"run": run.id, "flow": run.name, "pathspec": run.pathspec or "", "params": dict(run.params)}
    ends = [f"metaflow.{run.name}.end"] if event.kind == "run.succeeded" else []
    return (event.kind, f"{event.kind}.{run.name}", *ends), payload
