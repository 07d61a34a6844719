"""`[export]`, `[gpus.NAME]`, `[overlays.NAME]` and `[verify.FLOW]`: the cluster that the project is exported to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from boxplat.core.values import wrong

_TOLERATION = re.compile(r"[A-Za-z0-9][\w./-]*(=[\w.-]*)?:(NoSchedule|PreferNoSchedule|NoExecute)")


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """`[export]`: what holds in every overlay.

    `namespace` is the project's name if empty. `registry` goes before the names of images. `storage` is the URL of the
    bucket or prefix (empty: `s3://boxplat-PROJECT`), `storage_endpoint` that of an S3 server other than AWS's. Requests
    are measured peaks and a `margin`, a share of them. A run of a flow is given up after `deadline_hours` (0: never).
    `allowed_hosts` are the names, beside those of the Service, that the tracking server answers to; `gateway` is the
    Gateway ("NAME" or "NAMESPACE/NAME") that routes to endpoints attach to. The volume with the project's data has
    `data_size` and the storage class `data_class` (empty: the cluster's default), which must have volumes that many
    pods write to.
    Features are materialized at the times of the cron expression `materialize`, in UTC (empty: by flows only, as here).
    `secrets` are variables of flow steps that the Secret `flows` holds, and sources of `@secrets` that pods can read.
    """

    namespace: str = ""
    registry: str = ""
    storage: str = ""
    storage_endpoint: str = ""
    margin: float = 0.2
    deadline_hours: float = 72.0
    allowed_hosts: tuple[str, ...] = ()
    gateway: str = ""
    secrets: tuple[str, ...] = ()
    data_size: str = "50Gi"
    data_class: str = ""
    materialize: str = ""


@dataclass(frozen=True, slots=True)
class GpuConfig:
    """`[gpus.NAME]`: a kind of GPU of the cluster and how its nodes are chosen.

    `resource` is what a pod asks for, `nvidia.com/gpu` or a MIG profile's; `memory_mib` is what one of them has (0: not
    said). `selector` are labels of the nodes, `tolerations` their taints as "key=value:Effect". The `default` is taken
    where a step or an endpoint says no more than that it needs a GPU.
    """

    resource: str = "nvidia.com/gpu"
    memory_mib: int = 0
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[str, ...] = ()
    default: bool = False


@dataclass(frozen=True, slots=True)
class OverlayConfig:
    """`[overlays.NAME]`: what one environment changes.

    `hosts` are the public names of endpoints, `replicas` how many pods a component has, by name; `max_replicas` is
    where the autoscaler of an endpoint stops (0: as in the base). `quota` replaces entries of the namespace's,
    `components` are parts that the environment opts in to, `storage` is its own bucket or prefix.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    max_replicas: int = 0
    quota: Mapping[str, str] = field(default_factory=dict)
    components: tuple[str, ...] = ()
    storage: str = ""


@dataclass(frozen=True, slots=True)
class VerifyConfig:
    """`[verify.FLOW]`: what two runs of a flow need not have in common.

    `tolerance` says by the name of an artifact or metric how far its numbers may lie apart, relative to the larger one.
    Those that `varies` names may be anything: times, random numbers, versions; `NAME.KEY` is an entry of a dict, where
    KEY may have wildcards.
    """

    tolerance: Mapping[str, float] = field(default_factory=dict)
    varies: tuple[str, ...] = ()


def checked(
    path: Path, export: ExportConfig, gpus: Mapping[str, GpuConfig], overlays: Mapping[str, OverlayConfig]
) -> None:
    """Refuse values that are of the right type but make no sense.

    Raises:
        BoxError: there is one (exit code 2).
    """
    _data(path, export)
    storages = {"export": export.storage, **{f"overlays.{name}": overlay.storage for name, overlay in overlays.items()}}
    for section, storage in storages.items():
        if storage and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/\S*[^/\s])?", storage):
            raise wrong(path, f"{section}.storage", "a bucket or prefix as s3://bucket/prefix", storage)
    if export.storage_endpoint and not re.fullmatch(r"https?://[^\s/@]+/?", export.storage_endpoint):
        raise wrong(path, "export.storage_endpoint", "an address as https://host:port", export.storage_endpoint)
    for name, gpu in gpus.items():
        for toleration in gpu.tolerations:
            if not _TOLERATION.fullmatch(toleration):
                raise wrong(path, f"gpus.{name}.tolerations", 'a list of "key=value:Effect"', toleration)
    defaults = [name for name, gpu in gpus.items() if gpu.default]
    if len(defaults) > 1:
        raise wrong(path, f"gpus.{defaults[1]}.default", f"false: {defaults[0]} is the default", True)


def _data(path: Path, export: ExportConfig) -> None:
    if not re.fullmatch(r"[1-9][0-9]*[GT]i", export.data_size):
        raise wrong(path, "export.data_size", 'a size as "50Gi"', export.data_size)
    if export.materialize and not re.fullmatch(r"[0-9*,/-]+( [0-9*,/A-Za-z-]+){4}", export.materialize):
        raise wrong(path, "export.materialize", 'a cron expression as "17 * * * *", or empty', export.materialize)
