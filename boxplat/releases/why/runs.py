"""What is known of a run: from its spool where that is there, else from the tracking server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.errors import BoxError
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.models import tracking_url
from boxplat.releases.why import data
from boxplat.releases.why.tree import Node
from boxplat.runs import batches, code, spool
from boxplat.runs.outbox import spool_path

_PACKAGE = "version."


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run recorded of itself; `note` says why there is nothing."""

    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def kept(state: StateStore, paths: Paths, run: Run | None, tracking: str | None) -> Kept:
    """Tags, parameters and metrics of a run, known by one or both of its names."""
    freed = _freed(state, run) if run else None
    own = freed or (spooled(paths, run.id) if run else Kept())
    found = _tracked(state, tracking) if tracking and not freed else Kept(note=own.note or "it has no tracking run")
    if not own.tags:
        return found
    return Kept({**found.tags, **own.tags}, {**found.params, **own.params}, found.metrics, own.note)


def _freed(state: StateStore, run: Run) -> Kept | None:
    """What was remembered of a run that `box gc` has taken."""
    gone = state.disposal.freed(f"run/{run.id}")
    if gone is None:
        return None
    when = time.strftime("%Y-%m-%d", time.localtime(gone.marked))
    remembered = gone.data.get("kept", {})
    note = f"box gc freed its artifacts, logs and tracking run on {when} (by {gone.by})"
    return Kept(remembered.get("tags", {}), remembered.get("params", {}), note=note)


def spooled(paths: Paths, run_id: int) -> Kept:
    """What a run noted of itself while it ran; nothing where its folder is gone."""
    try:
        records = spool.records_of(spool_path(paths.run_dir(run_id)).read_bytes())
    except OSError:
        return Kept()
    batch = batches.Batch()
    for record in records:
        batch.add(batches.facts(record))
    return Kept(batch.tags, batch.params)


def _tracked(state: StateStore, tracking: str) -> Kept:
    try:
        data = TrackingApi(tracking_url(state)).run(tracking)["data"]
    except TrackingRefusedError:
        return Kept(note=f"the tracking server knows no run {tracking}: it was deleted")
    except (TrackingDownError, BoxError):
        return Kept(note="the tracking server does not run: box up --detach && box wait tracking")
    tags, params = ({one["key"]: one["value"] for one in data.get(part, [])} for part in ("tags", "params"))
    return Kept(tags, params, {one["key"]: float(one["value"]) for one in data.get("metrics", [])})


def made_of(state: StateStore, paths: Paths, run: Run | None, found: Kept) -> tuple[Node, ...]:
    """Code, parameters, feature service and data of a run."""
    nodes = [_code(paths, run, found.tags)]
    params = found.params or (run.params if run else {})
    if params:
        nodes.append(Node("parameters", "", facts=dict(sorted(params.items()))))
    service = found.tags.get("feature_service")
    if service:
        nodes.append(Node("feature service", service, "trained with"))
    nodes.append(data.of_run(state, paths, run, found.tags))
    return tuple(nodes)


def _code(paths: Paths, run: Run | None, tags: Mapping[str, str]) -> Node:
    commit, digest = tags.get("mlflow.source.git.commit"), tags.get("boxplat.code_digest")
    facts: dict[str, Any] = {
        "flow": run.flow if run else tags.get("mlflow.source.name"),
        "git_commit": commit,
        "git_dirty": {"true": True, "false": False}.get(tags.get("boxplat.git_dirty", "")),
        "digest": digest,
        "scope": tags.get("boxplat.code_scope"),
        "files_now": _now(paths.root / run.flow, digest) if run and digest else None,
        "packages": {key.removeprefix(_PACKAGE): tags[key] for key in sorted(tags) if key.startswith(_PACKAGE)},
    }
    notes = []
    if not commit and not digest:
        notes.append("neither commit nor digest is known")
    elif not commit:
        notes.append("not in a git repository: the digest is over the flow's files")
    return Node("code", commit[:12] if commit else (digest or "unknown")[:16], facts=_known(facts), notes=tuple(notes))


def _now(flow: Path, digest: str) -> str:
    if not flow.is_file():
        return "gone"
    return "the same" if code.package_digest(flow)[1] == digest else "changed since"


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value not in (None, "", {})}
