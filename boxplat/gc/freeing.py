"""Letting things go: marked in one transaction, then deleted; what a kill left is finished by the next one.

Artifacts that runs share are swept last, flow by flow, with nobody writing there: what a run names that began in the
meantime stays.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from boxplat.adapters import bentos_store, tracking_store
from boxplat.adapters.flows_store import FlowStore, remove
from boxplat.core import flowlock
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.disposal import Freed
from boxplat.gc.holding import bentos_needed
from boxplat.gc.loose import TRASH
from boxplat.gc.model import Item, Limits
from boxplat.releases.alone import alone
from boxplat.releases.why.runs import spooled
from boxplat.serving.log import retention
from boxplat.serving.log.asking import folder_of

Told = Callable[[str], None]
# Of files that nothing names there is nothing to write down: deleting them again does no harm.
_MARKED = frozenset({"run", "metaflow", "tracking", "bento"})
_BATCH = 500


def mark(state: StateStore, paths: Paths, items: Sequence[Item], by: str) -> list[Freed]:
    """Write down what goes; returns it without what was pinned or is resumed since it was chosen."""
    now = time.time()
    things = [
        Freed(item.subject, item.kind, sum(item.parts.values()), now, by, {**item.data, **_remembered(paths, item)})
        for item in items
        if item.kind in _MARKED
    ]
    return state.disposal.mark(things)


def _remembered(paths: Paths, item: Item) -> dict[str, object]:
    """What a run recorded of itself, for whoever asks after it when its folder is gone."""
    if item.kind != "run":
        return {}
    found = spooled(paths, int(item.data["run"]))
    return {"kept": {"tags": dict(found.tags), "params": dict(found.params)}}


def finish(state: StateStore, paths: Paths, limits: Limits, told: Told) -> list[str]:
    """Delete what is marked; returns what is left to do, in words."""
    left: list[str] = []
    trash = paths.state / TRASH
    marked = state.disposal.unfinished()
    for kinds, work in ((("run", "tracking"), _tracked), (("bento",), _bentos), (("metaflow",), _stored)):
        own = [one for one in marked if one.kind in kinds]
        for start in range(0, len(own), _BATCH):
            told(f"{start + len(own[start : start + _BATCH])} of {len(own)} {kinds[0]}s")
            try:
                done = work(state, paths, own[start : start + _BATCH], limits)
            except BoxError as error:
                left.append(str(error.what))
                break
            state.disposal.done(one.subject for one in done)
    shutil.rmtree(trash, ignore_errors=True)
    return left


def _tracked(state: StateStore, paths: Paths, things: Sequence[Freed], limits: Limits) -> list[Freed]:
    """Runs: first what the tracking server has of them, which it may need again in the meantime."""
    runs = [run for one in things for run in one.data.get("tracking", ())]
    models = [model for one in things for model in one.data.get("models", ())]
    versions = [(str(name), int(number)) for one in things for name, number in one.data.get("versions", ())]
    gone = set(tracking_store.remove(paths.mlflow, runs, models, versions)) if runs or models or versions else set()
    done = []
    for one in things:
        if not gone.issuperset(one.data.get("tracking", ())):
            state.disposal.spare(one.subject)
            continue
        _folders(paths, one)
        done.append(one)
    return done


def _stored(state: StateStore, paths: Paths, things: Sequence[Freed], limits: Limits) -> list[Freed]:
    for one in things:
        _folders(paths, one)
    return list(things)


def _folders(paths: Paths, one: Freed) -> None:
    trash = paths.state / TRASH
    flow, _, run = str(one.data.get("pathspec") or "").partition("/")
    if run:
        for folder in FlowStore(paths.metaflow).folders(flow, run):
            remove(folder, trash)
    if "run" in one.data:
        remove(paths.run_dir(int(one.data["run"])), trash)


def _bentos(state: StateStore, paths: Paths, things: Sequence[Freed], limits: Limits) -> list[Freed]:
    """While no endpoint is being changed: a deploy takes a Bento that is there already."""
    with ExitStack() as stack:
        for endpoint in sorted({one.endpoint for one in state.releases.all()}):
            stack.enter_context(alone(paths, endpoint))
        needed = bentos_needed(state, limits)
        for one in [one for one in things if one.data["tag"] in needed]:
            state.disposal.spare(one.subject)
        going = [one for one in things if one.data["tag"] not in needed]
        bentos_store.remove(paths.bentoml, [str(one.data["tag"]) for one in going])
    return going


def loose(paths: Paths, items: Sequence[Item]) -> None:
    """Delete files that nothing names."""
    for item in items:
        if item.kind == "files":
            for name in item.data["paths"]:
                _delete(Path(name))
        elif item.kind == "predictions":
            folder = folder_of(paths, str(item.data["endpoint"]))
            retention.enforce(folder, int(item.data["days"]), int(item.data["mib"]))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep(state: StateStore, paths: Paths, busy: set[str], began: float) -> Iterator[str]:
    """Delete artifacts that no run names any more; yields flows that have begun to run since.

    Args:
        busy: flows that ran already, of which nothing was promised.
        began: what was written since this moment stays.
    """
    store = FlowStore(paths.metaflow)
    for flow in store.flows():
        if flow in busy:
            continue
        with flowlock.alone(paths, flow) as free:
            if free:
                store.sweep(flow, began)
            else:
                yield flow
    gone = [path for path in state.datasets.known_files() if not Path(path).exists()]
    state.datasets.forget_files(gone)
