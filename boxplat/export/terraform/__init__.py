"""`box export terraform`: modules for a cluster of one's own, EKS and GKE, with variables sized from measured use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.model import File, Service
from boxplat.core.paths import Paths
from boxplat.export.gather import gather
from boxplat.export.manifests import documents
from boxplat.export.model import LOCK, Export, ExportInput, LiveRelease, Peak
from boxplat.export.terraform.needs import Stored, needs
from boxplat.export.terraform.readme import readme
from boxplat.export.terraform.variables import variables
from boxplat.export.write import check, write


def write_terraform(
    paths: Paths,
    config: Config,
    services: Sequence[Service],
    output: Path,
    told: Callable[[str], None],
    releases: Mapping[str, tuple[LiveRelease, ...]],
    measured: Mapping[str, Mapping[str, Peak]],
) -> list[str]:
    """Write a project's cluster as Terraform modules; returns the paths written, relative to `output`.

    Raises:
        BoxError: as an export to Kubernetes, or the folder has other files, such as Terraform's state (exit code 4).
    """
    check(output)
    told("compiling the flows")
    export = terraform(gather(paths, config, services, None, releases, measured), stored(paths))
    write(export, output)
    return sorted(file.path for file in export.files)


def terraform(inputs: ExportInput, stored: Stored) -> Export:
    """The modules and, for each place, `terraform.tfvars.json`; what only a person knows has no value there.

    Raises:
        BoxError: as an export to Kubernetes, whose manifests say what machines must bear.
    """
    wanted = needs(inputs, documents(inputs), stored)
    values = variables(inputs, wanted)
    files = [
        *_files(resources.files(__name__) / "files", ""),
        *(File(f"{place}/terraform.tfvars.json", _json(known)) for place, known in values.items()),
        readme(inputs, wanted),
    ]
    digests = {file.path: hashlib.sha256(file.text.encode()).hexdigest() for file in files}
    content = {
        "schema_version": 1,
        "made_by": "boxplat",
        "project": inputs.policy.project,
        "files": dict(sorted(digests.items())),
    }
    lock = File(LOCK, _json(content))
    return Export(files=tuple(sorted([*files, lock], key=lambda file: file.path)), packages={})


def stored(paths: Paths) -> Stored:
    """What the local stores hold, in bytes."""
    folders = {"database": paths.mlflow / "mlflow.db", "online": paths.feast / "online"}
    sizes = {}
    for name, place in folders.items():
        found = place.rglob("*") if place.is_dir() else [place]
        sizes[name] = sum(file.stat().st_size for file in found if file.is_file())
    return Stored(database=sizes["database"], online=sizes["online"])


def _files(folder: Traversable, prefix: str) -> list[File]:
    found: list[File] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            found += _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".tf"):
            found.append(File(f"{prefix}{entry.name}", entry.read_text(encoding="utf-8")))
    return found


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2) + "\n"
