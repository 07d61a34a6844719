"""What goes into an export and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.core.config import StartsConfig
from boxplat.core.model import File, Service

Document = dict[str, Any]

LOCK = "export.lock.json"
USER = 1000
FLOWS, TRACKING, FEATURES = "flows", "tracking", "features"


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as Metaflow compiled it.

    `template` is the Argo WorkflowTemplate as emitted; `packages` are the objects that its pods download, by their path
    below the storage root (`FlowName/data/ab/abc…`).
    """

    file: str
    name: str
    template: Mapping[str, Any]
    packages: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the cluster grants and demands. Times in seconds, memory and disk in MB, `cpu` in cores.

    `images` maps a component (flows, tracking, features, an endpoint's name) to a complete image reference. `storage`
    is the URL of the bucket or prefix, `storage_endpoint` that of an S3 server other than AWS's.
    """

    project: str
    namespace: str
    images: Mapping[str, str]
    storage: str
    storage_endpoint: str = ""
    step_cpu: str = "0.5"
    step_memory: str = "1024"
    step_disk: str = "1024"
    keep_succeeded: int = 86400
    keep_failed: int = 604800
    max_replicas: int = 4
    materialize: str = "17 * * * *"
    data_size: str = "50Gi"
    quota: Mapping[str, str] = field(
        default_factory=lambda: {
            "requests.cpu": "32",
            "requests.memory": "128Gi",
            "limits.memory": "160Gi",
            "requests.nvidia.com/gpu": "4",
            "pods": "200",
            "persistentvolumeclaims": "10",
        }
    )


@dataclass(frozen=True, slots=True)
class ExportInput:
    """Everything that decides the bytes of an export.

    `services` are the declarations that run locally, references unresolved. `feature_store` is the content of the
    project's `feature_store.yaml`, or None. `root` is the project's folder: its path must not reach a manifest.
    `undeployed` names endpoints that have no release to export. `versions` name what the export was made with.
    `schedules` says by flow what becomes of runs that were missed.
    """

    root: Path
    policy: Policy
    overlay: str
    flows: tuple[Flow, ...]
    services: tuple[Service, ...]
    feature_store: Mapping[str, Any] | None = None
    feature_repo: str = "feature_repo"
    undeployed: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schedules: Mapping[str, StartsConfig] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export: text files, and the code packages by path."""

    files: tuple[File, ...]
    packages: Mapping[str, bytes]
