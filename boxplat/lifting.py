"""`box lift`: what the rest of boxplat does for a lift, put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.paths import Paths
from boxplat.groups import Told, silent
from boxplat.groups_export import Export

if TYPE_CHECKING:
    from boxplat.core.config import Config
    from boxplat.core.state import StateStore
    from boxplat.export.lift import Datastore, Lifted, Moves, Order, Plan, Work
    from boxplat.export.migrate import Plan as MigrationPlan

_SUBJECT = "lift"


class Lifting(ABC):
    """The verb of `Box`; it has the project, its state and its export."""

    paths: Paths
    export: Export

    @property
    @abstractmethod
    def state(self) -> StateStore: ...

    @property
    @abstractmethod
    def settings(self) -> Config: ...

    def lift(
        self,
        order: Order | None = None,
        agreed: Callable[[Plan], bool] | None = None,
        context: str = "",
        database: str = "",
        registry: str = "",
        told: Told = silent,
    ) -> Lifted:
        """Lift the project onto a Kubernetes cluster, or show what that would do.

        Args:
            order: what is asked for; by default a new export of overlay `dev`.
            agreed: sees the plan and says whether to go on; by default whenever nothing in it is dangerous.
            context: of the kubeconfig, the current one if empty.
            database: the address of MLflow's database over there; history and data are moved if it is given.
            registry: that of Feast's, if another.

        Raises:
            BoxError: the cluster is not ready (exit code 4), refuses something (10), has no room (8), is slow (6).
        """
        from boxplat.export.lift import Order, lift

        order = order or Order()
        work = self._lift_work(agreed or (lambda plan: not plan.dangers), database, registry, told)
        return lift(self.paths, context, order, work, told)

    def _lift_work(self, agreed: Callable[[Plan], bool], database: str, registry: str, told: Told) -> Work:
        from boxplat.export.lift import Moves, Work

        def export(folder: Path, overlay: str) -> None:
            self.export.kubernetes(folder, overlay, told)

        def check(folder: Path) -> list[str]:
            # The cluster itself holds every field against its schemas.
            faults = self.export.check(folder, with_schemas=False).faults
            return [f"{fault.of}: {fault.rule}: {fault.where}: {fault.what}" for fault in faults]

        def declared(overlay: str) -> str | None:
            # An environment without settings of its own has the storage of them all.
            return overlay if overlay in self.settings.overlays else None

        def migration(overlay: str) -> Moves:
            planned = self.export.migration_plan(database, registry, overlay=declared(overlay))
            return Moves(tuple(_lines(planned)), planned.problems)

        def migrate(overlay: str, told: Told) -> Mapping[str, Any]:
            done = self.export.migrate(database, registry, overlay=declared(overlay), told=told)
            rows = sum(one.rows for one in (*done.tables, *done.registry))
            return {"rows": rows, "files": sum(one.files for one in done.trees), "materialized": done.materialized}

        return Work(
            export=export,
            check=check,
            agreed=agreed,
            images=self._push_images,
            migrate=migrate if database else None,
            migration=migration,
            parameters=self._parameters,
            compare=self._compare,
            recorded=lambda kind, facts: _record(self.state, kind, facts),
        )

    def _parameters(self, flow: str, template: Mapping[str, Any]) -> dict[str, str]:
        """The same as those of the run here that it is compared with."""
        from boxplat.export.verify.proof import arguments

        return arguments(self.paths, flow, dict(template))

    def _compare(self, flow: str, workflow: str, store: Datastore) -> list[str]:
        """Against the newest run here that succeeded. On Argo Metaflow calls a run after its workflow."""
        from boxplat.export.verify.artifacts import RunRecord
        from boxplat.export.verify.proof import differences

        found = differences(self.paths, self.settings, flow, RunRecord(store, flow, f"argo-{workflow}"))
        return [": ".join(filter(None, (one.task, one.name, one.why or one.verdict))) for one in found]

    def _push_images(self, told: Told) -> bool:
        """Whether one of them has another digest than before."""
        from boxplat.export.images import record

        before = record.recorded(self.paths)
        self.export.images(build=True, push=True, told=told)
        return record.recorded(self.paths) != before


def _lines(planned: MigrationPlan) -> Iterator[str]:
    if planned.resumes:
        yield "goes on with the move that was cut off: what was added to the databases since then stays for a later one"
    for part in planned.parts:
        yield f"moves {part.name}: {part.things} rows or files to {part.to}"


def _record(state: StateStore, kind: str, facts: Mapping[str, Any]) -> None:
    state.events.append(_SUBJECT, kind, facts)
