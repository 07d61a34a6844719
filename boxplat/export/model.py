"""What goes into an export and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import StartsConfig
from boxplat.core.export_config import GpuConfig, OverlayConfig
from boxplat.core.live import GuardsConfig
from boxplat.core.model import File, Service

if TYPE_CHECKING:
    from boxplat.export.images.model import Image

Document = dict[str, Any]

LOCK = "export.lock.json"
USER = 1000
FLOWS, TRACKING, FEATURES = "flows", "tracking", "features"
# Flows are compiled once for all overlays, each of which may have a bucket of its own.
STORAGE = "s3://storage.invalid"


@dataclass(frozen=True, slots=True)
class Decorator:
    """A decorator with all its attributes, as Metaflow understood it; `written` in the source, not added by it."""

    name: str
    attributes: Mapping[str, Any]
    written: bool = True


@dataclass(frozen=True, slots=True)
class Declared:
    """What a flow's source declares: decorators by step, those of the flow itself, and parameters by name.

    A parameter has `type`, `value` (the default as JSON), `is_required` and `description`; `configs` are names.
    """

    steps: Mapping[str, Sequence[Decorator]] = field(default_factory=dict)
    flow: Sequence[Decorator] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    configs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as Metaflow compiled it.

    `template` is the Argo WorkflowTemplate as emitted and `sensor` the Argo Events Sensor of its triggers, if any. In
    both, objects are below the placeholder `STORAGE`. `packages` are the objects that its pods download, by their path
    below the storage root (`FlowName/data/ab/abc…`).
    """

    file: str
    name: str
    template: Mapping[str, Any]
    packages: Mapping[str, bytes]
    sensor: Mapping[str, Any] | None = None
    declared: Declared = field(default_factory=Declared)


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a step of a flow took in `runs` runs: MiB of memory and of one GPU's, cores, seconds."""

    memory_mib: float = 0.0
    vram_mib: float = 0.0
    cpu: float = 0.0
    seconds: float = 0.0
    runs: int = 0


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """A release of an endpoint that gets `weight` percent of its requests, or copies of them only (`shadow`).

    `service` is its own declaration, `model_version` is `name/number`, empty where it serves no registered model.
    """

    number: int
    weight: int
    shadow: bool
    bento: str
    model_version: str
    service: Service


@dataclass(frozen=True, slots=True)
class Policy:
    """What the cluster grants and demands. Times in seconds, memory and disk in MB, `cpu` in cores.

    `images` maps a component (flows, tracking, features, an endpoint's name) to a complete image reference. `storage`
    is the URL of the bucket or prefix, `storage_endpoint` that of an S3 server other than AWS's. `margin` is the share
    that requests have above what was measured, `deadline` how long a run may take (0: for ever). `hosts` and
    `replicas`, by component, are what an overlay says of them; `gateway` is the Gateway that routes attach to.
    `secrets` are variables of steps that the Secret `flows` holds, and sources of `@secrets` that pods can read.
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
    margin: float = 0.2
    deadline: int = 0
    gpus: Mapping[str, GpuConfig] = field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()
    gateway: str = ""
    secrets: tuple[str, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    materialize: str = ""
    data_size: str = "50Gi"
    data_class: str = ""
    quota: Mapping[str, str] = field(
        default_factory=lambda: {
            "requests.cpu": "32",
            "requests.memory": "128Gi",
            "limits.memory": "160Gi",
            "requests.nvidia.com/gpu": "4",
            "pods": "200",
            "persistentvolumeclaims": "10",
            # Requests come in through a Gateway, which is not in this namespace.
            "services.loadbalancers": "0",
            "services.nodeports": "0",
        }
    )


@dataclass(frozen=True, slots=True)
class ExportInput:
    """Everything that decides the bytes of an export.

    `services` are the declarations that run locally, references unresolved. `feature_store` is the content of the
    project's `feature_store.yaml`, or None. `root` is the project's folder: its path must not reach a manifest.
    `undeployed` names endpoints that have no release to export. `versions` name what the export was made with.
    `schedules` says by flow what becomes of runs that were missed. `overlays` are those to render, `measured` what
    steps took, by flow and step, `releases` those that get traffic and `guards` the objectives, by endpoint. `settings`
    are those of the project that are not at their defaults, as `section.key`. `images` are to be built for the
    components of the policy.
    """

    root: Path
    policy: Policy
    flows: tuple[Flow, ...]
    services: tuple[Service, ...]
    feature_store: Mapping[str, Any] | None = None
    feature_repo: str = "feature_repo"
    undeployed: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schedules: Mapping[str, StartsConfig] = field(default_factory=dict)
    overlays: Mapping[str, OverlayConfig] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Peak]] = field(default_factory=dict)
    releases: Mapping[str, tuple[LiveRelease, ...]] = field(default_factory=dict)
    guards: Mapping[str, GuardsConfig] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """A whole export: text files, and the code packages by path."""

    files: tuple[File, ...]
    packages: Mapping[str, bytes]
