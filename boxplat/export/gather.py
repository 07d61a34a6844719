"""What an export is made of, read from a project: compiled flows, digests, the feature store's settings."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boxplat
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export import document, names
from boxplat.export.compile import compile_flows
from boxplat.export.model import FEATURES, FLOWS, TRACKING, ExportInput, Policy
from boxplat.export.sources import flow_files, folder_digest

_CONSTRAINTS = Path(boxplat.__file__).parent / "constraints.txt"


def gather(
    paths: Paths,
    config: Config,
    services: Sequence[Service],
    overlay: str = "dev",
) -> ExportInput:
    """Read a project and compile its flows.

    Every component gets the name of an image to be built, `boxplat/<project>-<component>:<digest>`, where the digest
    changes with whatever goes into it; the bucket is `s3://boxplat-<project>`.

    Args:
        services: the declarations to export, references unresolved.

    Raises:
        BoxError: a flow does not compile, or `feature_store.yaml` cannot be read.
    """
    # The cluster has a feature server of its own, of Feast's, over its own online store.
    services = [service for service in services if service.name != FEATURES]
    project = names.label_name(config.project.name)
    repo = paths.root / config.features.repo
    bentos = {name: paths.root / (own.bento or f"bentos/{name}") for name, own in config.endpoints.items()}
    policy = Policy(
        project=project,
        namespace=project,
        images=_images(project, paths.root, repo, bentos, services),
        storage=f"s3://boxplat-{project}",
    )
    return ExportInput(
        root=paths.root,
        policy=policy,
        overlay=overlay,
        flows=compile_flows(flow_files(paths.root / "flows"), paths.root, policy),
        services=tuple(services),
        feature_store=_feature_store(repo / "feature_store.yaml"),
        feature_repo=config.features.repo,
        undeployed=tuple(sorted(config.endpoints.keys() - {service.name for service in services})),
        versions=_versions(),
        schedules=config.schedules,
    )


def _versions() -> dict[str, str]:
    return {
        "boxplat": boxplat.__version__,
        "metaflow": importlib.metadata.version("metaflow"),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


def _images(
    project: str, root: Path, repo: Path, bentos: Mapping[str, Path], services: Sequence[Service]
) -> dict[str, str]:
    locked = _CONSTRAINTS.read_text(encoding="utf-8")
    folders: dict[str, list[Path]] = {service.name: [root / "flows"] for service in services}
    folders |= {name: [folder, repo] for name, folder in bentos.items()}
    folders |= {FLOWS: [root / "flows", repo], FEATURES: [repo], TRACKING: []}
    return {
        component: f"boxplat/{project}-{component}:{folder_digest(parts, boxplat.__version__, locked)}"
        for component, parts in folders.items()
    }


def _feature_store(file: Path) -> Mapping[str, Any] | None:
    if not file.exists():
        return None
    try:
        content = document.load(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _unreadable(file, str(error)) from error
    if not isinstance(content, Mapping):
        raise _unreadable(file, "it is not a mapping")
    return content


def _unreadable(file: Path, why: str) -> BoxError:
    return BoxError(f"cannot read {file}", why=why, fix=f"correct it: ${{EDITOR:-vi}} {file}", code=ExitCode.USAGE)
