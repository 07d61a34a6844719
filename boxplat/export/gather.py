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
from boxplat.export import document, images, names, overlays
from boxplat.export.flows import refusals
from boxplat.export.flows.compile import compile_flows
from boxplat.export.model import FEATURES, ExportInput, LiveRelease, Peak, Policy
from boxplat.export.sources import flow_files


def gather(
    paths: Paths,
    config: Config,
    services: Sequence[Service],
    overlay: str | None = None,
    releases: Mapping[str, tuple[LiveRelease, ...]] | None = None,
    measured: Mapping[str, Mapping[str, Peak]] | None = None,
) -> ExportInput:
    """Read a project and compile its flows.

    Every component gets an image: by digest if one made of the same inputs was pushed, else the name of the one to be
    built, `boxplat/<project>-<component>:<digest>`, where the digest changes with whatever goes into it. The bucket is
    `s3://boxplat-<project>` if none is set.

    Args:
        services: the declarations to export, references unresolved.
        overlay: the only one to render.
        releases: all that get requests or copies of them, by endpoint; an endpoint without has the declared one only.
        measured: what steps took, by flow and step.

    Raises:
        BoxError: a flow does not compile or cannot be on a cluster, `feature_store.yaml` cannot be read, or an image
            cannot be locked.
    """
    # The cluster has a feature server of its own, of Feast's, over its own online store.
    services = [service for service in services if service.name != FEATURES]
    project = names.label_name(config.project.name)
    repo = paths.root / config.features.repo
    releases = releases or {}
    planned = images.plan(paths, config, services, releases)
    policy = _policy(config, project, images.references(paths, planned, config.export.registry))
    flows, failed = compile_flows(flow_files(paths.root / "flows"), paths.root, policy)
    refusals.check(flows, policy, measured or {}, paths.root, failed)
    return ExportInput(
        root=paths.root,
        policy=policy,
        images=planned,
        flows=flows,
        services=tuple(sorted(services, key=lambda service: service.name)),
        feature_store=_feature_store(repo / "feature_store.yaml"),
        feature_repo=config.features.repo,
        undeployed=tuple(sorted(config.endpoints.keys() - {service.name for service in services})),
        versions=_versions(),
        schedules=config.schedules,
        overlays=overlays.chosen(config.overlays, overlay),
        guards=config.guards,
        settings={key: value for key, (value, origin) in config.flat().items() if origin != "default"},
        releases=releases,
        measured=measured or {},
    )


def _policy(config: Config, project: str, references: Mapping[str, str]) -> Policy:
    export = config.export
    return Policy(
        project=project,
        namespace=names.checked(export.namespace or project, "namespace"),
        images=references,
        storage=export.storage or f"s3://boxplat-{project}",
        storage_endpoint=export.storage_endpoint.rstrip("/"),
        margin=export.margin,
        deadline=round(export.deadline_hours * 3600),
        gpus=config.gpus,
        allowed_hosts=export.allowed_hosts,
        gateway=export.gateway,
        secrets=export.secrets,
        data_size=export.data_size,
        data_class=export.data_class,
        materialize=export.materialize,
    )


def _versions() -> dict[str, str]:
    return {
        "boxplat": boxplat.__version__,
        "metaflow": importlib.metadata.version("metaflow"),
        "python": ".".join(map(str, sys.version_info[:3])),
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
