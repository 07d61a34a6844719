"""What the processes of a release claim."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.core import processes
from boxplat.core.claims import Claim, Priority
from boxplat.core.model import Service

_MIB = 2**20


def owner(name: str) -> str:
    """Of a service's lease."""
    return f"service/{name}"


def claim(service: Service, beside: Iterable[int] = ()) -> Claim:
    """The claim of one process of an endpoint. Cores are shared with whoever runs: an idle endpoint keeps none.

    Args:
        service: with `memory_mib` and `gpu_memory_mib`.
        beside: processes that serve the same endpoint; what the largest takes is what the next will take.
    """
    tree = processes.children()
    measured = [sum(map(processes.memory, processes.descendants(pid, tree))) for pid in beside]
    return Claim(
        cores=0.0,
        memory=max(measured, default=0) or service.memory_mib * _MIB,
        gpus=1.0 if service.gpu_memory_mib else 0.0,
        vram=service.gpu_memory_mib * _MIB,
        priority=Priority.SERVING,
    )
