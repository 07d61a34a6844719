"""The same project on Kubernetes: `gather` reads it, `render` makes the files (pure), `write` puts them in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export.gather import gather
from boxplat.export.manifests import render
from boxplat.export.model import Export, ExportInput, LiveRelease, Peak, Policy
from boxplat.export.serving.instances import main_release
from boxplat.export.write import check as _refuse_others
from boxplat.export.write import write

__all__ = [
    "Export",
    "ExportInput",
    "LiveRelease",
    "Peak",
    "Policy",
    "gather",
    "kubernetes",
    "main_release",
    "render",
    "write",
]


def kubernetes(
    paths: Paths,
    config: Config,
    services: Sequence[Service],
    output: Path,
    overlay: str | None = None,
    told: Callable[[str], None] = lambda line: None,
    releases: Mapping[str, tuple[LiveRelease, ...]] | None = None,
    measured: Mapping[str, Mapping[str, Peak]] | None = None,
) -> list[str]:
    """Write a project as Kubernetes and Argo manifests.

    Args:
        services: the declarations to export, references unresolved.
        overlay: the only one to render; all of them if None.
        output: a new or empty folder, or one with an earlier export, which is replaced.
        told: hears of work that takes seconds.
        releases: those of each endpoint that get requests or copies of them.
        measured: what the steps of flows took in their last runs, by flow and step.

    Returns:
        The paths written, relative to `output`.

    Raises:
        BoxError: a flow does not compile, a name or reference is wrong, or the folder is not an export's (exit code 4).
    """
    _refuse_others(output)
    told("compiling the flows")
    export = render(gather(paths, config, services, overlay, releases, measured))
    write(export, output)
    return sorted([*(file.path for file in export.files), *export.packages])
