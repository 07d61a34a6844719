"""Everything in a box that may go, each with what it takes and when it was of use last."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from boxplat.adapters import bentos_store, tracking_store
from boxplat.adapters.flows_store import FlowStore, StoredRun
from boxplat.core.config import Config
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.sizes import on_disk
from boxplat.core.state import StateStore
from boxplat.gc import loose
from boxplat.gc.choice import Shared
from boxplat.gc.holding import held
from boxplat.gc.model import ARTIFACTS, BENTOS, FOLDERS, Blob, Item, Limits, Value
from boxplat.gc.tracking import Tracking

# What was written to so lately may belong to a flow that nobody started through the box.
RECENT = 3600.0


@dataclass(frozen=True, slots=True)
class Found:
    """Items, the blobs that they share with what stays, why what stays does, and flows that cannot be swept now."""

    items: list[Item]
    shared: Shared
    kept: Counter[str]
    busy: set[str]


class Gathering:
    """One look at a box.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, state: StateStore, paths: Paths, config: Config, limits: Limits, now: float) -> None:
        self._state, self._paths, self._config = state, paths, config
        self._limits, self._now = limits, now
        self._runs = state.runs.all(limit=2**62)
        self._freed = state.disposal.runs()
        self._store = FlowStore(paths.metaflow)
        self._stored = {run.pathspec: run for flow in self._store.flows() for run in self._store.runs(flow)}
        tracked = tracking_store.read(paths.mlflow)
        self._held = held(state, paths, tracked, self._runs, limits)
        self._tracking = Tracking(tracked, self._runs, self._held)

    def found(self) -> Found:
        """Everything that may go."""
        items = [*self._of_runs(), *self._of_flows(), *self._tracking.items(self._limits.keep), *self._of_bentos()]
        items += loose.items(self._state, self._paths, self._config, self._held, self._now)
        busy = self._busy()
        named = [[(run.flow, blob) for blob in run.blobs] for run in self._stored.values()]
        return Found(items, Shared(self._blobs(busy), named), self._kept(), busy)

    def _kept(self) -> Counter[str]:
        reasons = [why for number, why in self._held.runs.items() if number not in self._freed]
        return Counter([*reasons, *self._held.bentos.values()])

    def _busy(self) -> set[str]:
        """Flows that somebody may be writing artifacts of."""
        known = {run.pathspec for run in self._runs if run.pathspec and run.state.over}
        written = {
            run.flow for run in self._stored.values() if run.pathspec not in known and run.changed > self._now - RECENT
        }
        return written | {run.name for run in self._runs if run.state is RunState.RUNNING}

    def _blobs(self, busy: set[str]) -> dict[Blob, int]:
        return {
            (flow, blob): on_disk(self._store.blob_files(flow, [blob]))
            for flow in self._store.flows()
            if flow not in busy
            for blob in self._store.blobs(flow)
        }

    def _of_runs(self) -> Iterator[Item]:
        resumed: dict[int, set[str]] = {}
        for run in self._runs:
            if run.options.get("resume") is not None and run.id not in self._freed:
                resumed.setdefault(int(run.options["resume"]), set()).add(f"run/{run.id}")
        for run in self._runs:
            if run.id not in self._held.runs and run.id not in self._freed:
                yield self._of_run(run, frozenset(resumed.get(run.id, ())))

    def _of_run(self, run: Run, after: frozenset[str]) -> Item:
        stored = self._stored.get(run.pathspec or "")
        tracking = self._tracking.family(run.tracking_run_id) if run.tracking_run_id else []
        folder = self._paths.run_dir(run.id)
        parts = {FOLDERS: on_disk([folder]), **self._tracking.parts(tracking)}
        if stored:
            parts[ARTIFACTS] = on_disk(stored.folders)
        return Item(
            subject=f"run/{run.id}",
            kind="run",
            value=Value.RUN if run.state is RunState.SUCCEEDED else Value.FAILED,
            at=run.ended or run.created,
            parts={kind: size for kind, size in parts.items() if size},
            blobs=_named(stored),
            after=after,
            data={"run": run.id, "pathspec": run.pathspec, **self._tracking.data(tracking)},
        )

    def _of_flows(self) -> Iterator[Item]:
        """Runs in the datastore that the box did not start, or does not know any more."""
        known = {run.pathspec for run in self._runs if run.id not in self._freed}
        strangers = [run for name, run in self._stored.items() if name not in known]
        for flow in {run.flow for run in strangers}:
            own = sorted((run for run in strangers if run.flow == flow), key=lambda run: run.changed)
            for run in own[: len(own) - self._limits.keep] if self._limits.keep else own:
                if run.changed < self._now - RECENT:
                    parts = {ARTIFACTS: on_disk(run.folders)}
                    data = {"pathspec": run.pathspec}
                    name = f"metaflow/{run.pathspec}"
                    yield Item(name, "metaflow", Value.RUN, run.changed, parts, _named(run), data=data)

    def _of_bentos(self) -> Iterator[Item]:
        """Bentos that no release needs which serves or may serve again; the newest of each name stays."""
        stored = bentos_store.read(self._paths.bentoml)
        newest = {one.tag.partition(":")[0]: one.tag for one in stored}
        for one in stored:
            if one.tag not in self._held.bentos and one.tag not in newest.values():
                parts, data = {BENTOS: on_disk([one.folder])}, {"tag": one.tag}
                yield Item(f"bento/{one.tag}", "bento", Value.BENTO, one.built, parts, data=data)


def _named(stored: StoredRun | None) -> frozenset[Blob]:
    return frozenset((stored.flow, blob) for blob in stored.blobs) if stored else frozenset()


def gather(
    state: StateStore, paths: Paths, config: Config, limits: Limits, now: float | None = None
) -> tuple[Found, float]:
    """Look at a box; also the moment at which that was begun."""
    began = time.time() if now is None else now
    return Gathering(state, paths, config, limits, began).found(), began
