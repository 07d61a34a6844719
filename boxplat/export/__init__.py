"""The same project on Kubernetes: `gather` reads it, `render` makes the files (pure), `write` puts them in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export.gather import gather
from boxplat.export.manifests import render
from boxplat.export.model import Export, ExportInput, Policy
from boxplat.export.write import check, write

__all__ = ["Export", "ExportInput", "Policy", "gather", "kubernetes", "render", "write"]


def kubernetes(
    paths: Paths,
    config: Config,
    services: Sequence[Service],
    output: Path,
    overlay: str = "dev",
    told: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Write a project as Kubernetes and Argo manifests.

    Args:
        services: the declarations to export, references unresolved.
        output: a new or empty folder, or one with an earlier export, which is replaced.
        told: hears of work that takes seconds.

    Returns:
        The paths written, relative to `output`.

    Raises:
        BoxError: a flow does not compile, a name or reference is wrong, or the folder is not an export's (exit code 4).
    """
    check(output)
    told("compiling the flows")
    export = render(gather(paths, config, services, overlay))
    write(export, output)
    return sorted([*(file.path for file in export.files), *export.packages])
