"""The values of Terraform's variables, by place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from boxplat.export.model import ExportInput
from boxplat.export.terraform.machines import AWS, AWS_GPU, GOOGLE, GOOGLE_GPU, Machine, smallest
from boxplat.export.terraform.needs import GIB, Needs, Room

KUBERNETES = "1.34"
_DISK_GIB = 100
_DATABASE_GIB = 20
# Of the local store's bytes: rows get indices, old versions and history; Redis keeps each value with its own key.
_DATABASE_FACTOR, _ONLINE_FACTOR = 4, 3
_REDIS = (
    ("cache.t4g.small", 1.37),
    ("cache.t4g.medium", 3.09),
    ("cache.r7g.large", 13.07),
    ("cache.r7g.xlarge", 26.32),
    ("cache.r7g.2xlarge", 52.82),
    ("cache.r7g.4xlarge", 105.81),
)
Values = Mapping[str, Mapping[str, object]]


def variables(inputs: ExportInput, needs: Needs) -> Values:
    """`own`, `eks` and `gke`, each with what is known of its variables."""
    policy = inputs.policy
    common: dict[str, object] = {"project": policy.project, "namespace": policy.namespace}
    bucket = urlsplit(policy.storage).netloc
    database_gib = max(_DATABASE_GIB, math.ceil(_DATABASE_FACTOR * needs.stored.database / GIB))
    online_gib = _ONLINE_FACTOR * needs.stored.online / GIB
    redis = next((name for name, memory in _REDIS if memory * 0.75 >= online_gib), _REDIS[-1][0])
    has_gpu = "gpu" in needs.largest
    pools = {"gpu_max": needs.gpus if has_gpu else 0, "gpu_spot": needs.spot, "disk_gib": _DISK_GIB}
    aws, google = (smallest(machines, needs.cpu)[0] for machines in (AWS, GOOGLE))
    aws_gpu, google_gpu = (smallest(machines, needs.gpu, needs.gpu_memory)[0] for machines in (AWS_GPU, GOOGLE_GPU))
    return {
        "own": common,
        "eks": {
            **common,
            "kubernetes_version": KUBERNETES,
            "bucket": bucket,
            "components": sorted(policy.images),
            "cpu_instance_types": [aws.name],
            **_counts(aws, needs),
            "gpu_instance_types": [aws_gpu.name] if has_gpu else [],
            **pools,
            "database_instance_class": "db.t4g.medium",
            "database_gib": database_gib,
            "redis_node_type": redis,
        },
        "gke": {
            **common,
            "bucket": bucket,
            "cpu_machine_type": google.name,
            **_counts(google, needs),
            "gpu_machine_type": google_gpu.name if has_gpu else "",
            "gpu_type": google_gpu.gpu if has_gpu else "",
            **pools,
            "database_tier": "db-custom-2-7680",
            "database_gib": database_gib,
            "redis_gib": max(1, math.ceil(online_gib / 0.75)),
        },
    }


def too_large(needs: Needs) -> Sequence[str]:
    """Pods that fit on none of the machines known here, in words."""
    checks = (
        ("cpu", (AWS, GOOGLE), needs.cpu, 0.0),
        ("gpu", (AWS_GPU, GOOGLE_GPU), needs.gpu, needs.gpu_memory),
    )
    return [
        needs.largest[kind]
        for kind, tables, room, memory in checks
        if kind in needs.largest and not all(smallest(machines, room, memory)[1] for machines in tables)
    ]


def _counts(machine: Machine, needs: Needs) -> dict[str, object]:
    """What always runs fits on the fewest, what the quota lets run on the most."""
    fewest = max(1, _machines(machine, needs.standing))
    return {"cpu_min": fewest, "cpu_max": max(fewest + 1, _machines(machine, needs.quota))}


def _machines(machine: Machine, room: Room) -> int:
    return math.ceil(max(room.cores / machine.free.cores, room.memory / machine.free.memory))
