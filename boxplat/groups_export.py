"""The verbs of `box export …`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.groups import Told, silent

if TYPE_CHECKING:
    from boxplat.box import Box
    from boxplat.export.check import Report
    from boxplat.export.diff import Change
    from boxplat.export.images.making import Made
    from boxplat.export.images.model import Image
    from boxplat.export.migrate import Migration, Plan
    from boxplat.export.verify.proof import Proof


class Export:
    """`box export …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def kubernetes(self, output: str | Path, overlay: str | None = None, told: Told = silent) -> list[str]:
        """Write the project as Kubernetes manifests; returns the paths written, relative to `output`.

        Args:
            overlay: the only environment to render; dev, staging, prod and those of the settings if None.
        """
        from boxplat.export import kubernetes
        from boxplat.exported import declared, measured, releases

        live = releases(self._box)
        services = declared(self._box, live)
        taken = measured(self._box)
        return kubernetes(self._box.paths, self._box.settings, services, Path(output), overlay, told, live, taken)

    def terraform(self, output: str | Path, told: Told = silent) -> list[str]:
        """Write Terraform modules for the cluster; returns the paths written, relative to `output`."""
        from boxplat.export.terraform import write_terraform
        from boxplat.exported import declared, measured, releases

        box, live = self._box, releases(self._box)
        return write_terraform(
            box.paths, box.settings, declared(box, live), Path(output), told, live, measured(self._box)
        )

    def diff(self, old: str | Path, overlay: str | None = None, told: Told = silent) -> tuple[Change, ...]:
        """What an export made now has that an earlier one has not; nothing is written."""
        with tempfile.TemporaryDirectory(prefix="boxplat-export-") as folder:
            self.kubernetes(Path(folder) / "new", overlay, told)
            return self.difference(old, Path(folder) / "new")

    @staticmethod
    def difference(old: str | Path, new: str | Path) -> tuple[Change, ...]:
        """What differs between two exports."""
        from boxplat.export.diff import difference

        return difference(Path(old), Path(new))

    @staticmethod
    def check(folder: str | Path, with_schemas: bool = True, told: Told = silent) -> Report:
        """Hold an export against every rule, offline, with its parity table."""
        from boxplat.export.check import check

        return check(Path(folder), with_schemas, told)

    def verify(self, chosen: Sequence[str] = (), overlay: str = "dev", told: Told = silent) -> Proof:
        """Run the exported flows and servers here against S3, and compare them with the local runs and releases.

        Args:
            chosen: class names of flows and names of endpoints, instead of all.
        """
        from boxplat.export import gather, render
        from boxplat.export.verify.proof import Subject, verify
        from boxplat.export.verify.serving import Live
        from boxplat.exported import declared, measured, releases, urls

        box, live = self._box, releases(self._box)
        inputs = gather(box.paths, box.settings, declared(box, live), overlay, live, measured(box))
        runs = box.state.runs.all(10_000)
        tracked = {run.pathspec: run.tracking_run_id for run in runs if run.pathspec and run.tracking_run_id}
        served = Live(live, urls(box))
        return verify(Subject(box.paths, box.settings, render(inputs), overlay, tracked, served), chosen, told)

    def images(
        self,
        build: bool = False,
        push: bool = False,
        only: Sequence[str] = (),
        variant: str = "cpu",
        arguments: Mapping[str, str] | None = None,
        wheels: str | Path | None = None,
        told: Told = silent,
    ) -> list[Made]:
        """The image of each component; built, and pushed, if asked for.

        Args:
            only: components, instead of all.
            variant: of PyTorch, `cpu` or `cuda`.
            arguments: Docker's build arguments, such as PIP_INDEX_URL.
            wheels: a folder of packages to take before those of an index.
        """
        from boxplat.export.images.making import Making, make

        making = Making(build, push, variant, arguments or {}, Path(wheels) if wheels else None, only)
        return make(self._box.paths, self._planned_images(), self._registry, making, told)

    def write_images(self, output: str | Path, only: Sequence[str] = ()) -> list[str]:
        """Write the folders that images are built from; returns the paths written, relative to `output`."""
        from boxplat.export.images.making import folders

        return folders(self._planned_images(), only, Path(output))

    def record_images(self, file: str | Path) -> None:
        """Let the next export name images that were built and pushed elsewhere: references by component, in JSON."""
        from boxplat.export.images import record

        found = record.told(Path(file), self._planned_images(), self._registry)
        record.record(self._box.paths, found)

    @property
    def _registry(self) -> str:
        return self._box.settings.export.registry

    def _planned_images(self) -> tuple[Image, ...]:
        from boxplat.export.images.planning import plan
        from boxplat.exported import declared, releases

        live = releases(self._box)
        return plan(self._box.paths, self._box.settings, declared(self._box, live), live)

    def migration_plan(
        self,
        database: str,
        registry: str = "",
        storage: str = "",
        endpoint: str = "",
        overlay: str | None = None,
        told: Told = silent,
    ) -> Plan:
        """What `migrate` would do; nothing is written."""
        from boxplat.export import migrate

        box = self._box
        to = migrate.target(box.settings, database, registry, storage, endpoint, overlay)
        return migrate.plan(box.paths, box.settings, to, _under_way(box), told)

    def migrate(
        self,
        database: str,
        registry: str = "",
        storage: str = "",
        endpoint: str = "",
        overlay: str | None = None,
        told: Told = silent,
    ) -> Migration:
        """Copy tracking, registry, artifacts and data to the stores of a cluster, and compare both sides.

        Args:
            database: the address of a PostgreSQL database for MLflow; `registry` that for Feast, if another.
            storage: the URL of a bucket or prefix, otherwise that of the export or of its `overlay`.
        """
        from boxplat.export import migrate

        box = self._box
        to = migrate.target(box.settings, database, registry, storage, endpoint, overlay)
        found = migrate.migrate(box.paths, box.settings, to, _under_way(box), told)
        facts = {
            "to": to.storage,
            "rows": sum(table.rows for table in (*found.tables, *found.registry)),
            "files": sum(tree.files for tree in found.trees),
            "seconds": round(found.seconds, 3),
            "by": box.by,
        }
        box.state.events.append("box", "history.migrated", facts)
        return found


def _under_way(box: Box) -> list[str]:
    return [f"run {run.id} ({run.name})" for run in box.state.runs.active() if run.started]
