"""What of the tracking store may go: with the runs of the box, and what is nobody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from boxplat.adapters.tracking_store import Tracked, TrackedModel, TrackedRun
from boxplat.core.model import Run
from boxplat.core.sizes import on_disk
from boxplat.gc.holding import Held
from boxplat.gc.model import TRACKING, Item, Value


class Tracking:
    """The tracking store beside the runs of a box."""

    def __init__(self, tracked: Tracked, runs: Sequence[Run], held: Held) -> None:
        self._tracked, self._held = tracked, held
        self._known = {run.id: run for run in tracked.runs}
        self._own = {run.tracking_run_id: run.id for run in runs if run.tracking_run_id}
        self._logged: dict[str, list[TrackedModel]] = {}
        for model in tracked.models:
            self._logged.setdefault(model.run or "", []).append(model)

    def family(self, root: str, strangers: bool = False) -> list[TrackedRun]:
        """A tracking run and all below it; `strangers`: without those of the box's own runs."""
        found, todo = [], [root]
        while todo:
            one = todo.pop()
            if one in self._known:
                found.append(self._known[one])
                children = self._tracked.children.get(one, ())
                todo += [child for child in children if not strangers or child not in self._own]
        return found

    def parts(self, runs: Iterable[TrackedRun]) -> dict[str, int]:
        """Bytes of the files of runs, and of the models that they logged."""
        folders = [run.folder for run in runs if run.folder]
        folders += [model.folder for run in runs for model in self._logged.get(run.id, ()) if model.folder]
        return {TRACKING: on_disk(folders)}

    def data(self, runs: Sequence[TrackedRun]) -> dict[str, object]:
        """What to delete of runs: a run goes after those that are part of it."""
        ids = [run.id for run in runs]
        models = [model.id for run in ids for model in self._logged.get(run, ())]
        logged = set(models)
        versions = [
            (one.name, one.version)
            for one in self._tracked.versions
            if (one.run in ids or one.logged in logged) and (one.name, one.version) not in self._held.versions
        ]
        return {"tracking": ids[::-1], "models": models, "versions": versions}

    def items(self, keep: int) -> Iterator[Item]:
        """Runs of nobody's: of notebooks, of a box before this one, and those that were deleted in MLflow.

        Args:
            keep: the newest of each experiment that stay.
        """
        newest: Counter[str] = Counter()
        for run in sorted(self._roots(), key=lambda run: -run.at):
            if not run.deleted:
                newest[run.experiment] += 1
            if run.deleted or (newest[run.experiment] > keep and run.status != "RUNNING"):
                yield self._item(run)

    def _roots(self) -> list[TrackedRun]:
        return [
            run
            for run in self._tracked.runs
            if run.id not in self._own
            and run.parent not in self._known
            and run.id not in self._held.tracking
            and run.folder
        ]

    def _item(self, run: TrackedRun) -> Item:
        family = self.family(run.id, strangers=True)
        below = [child for one in family for child in self._tracked.children.get(one.id, ()) if child in self._own]
        deleted = all(one.deleted for one in family)
        return Item(
            subject=f"tracking/{run.id}",
            kind="tracking",
            value=Value.NONE if deleted else Value.FAILED if run.status in ("FAILED", "KILLED") else Value.RUN,
            at=max(one.at for one in family),
            parts=self.parts(family),
            after=frozenset(f"run/{self._own[child]}" for child in below),
            data=self.data(family),
        )
