"""Whether the machine has room for further processes before they are started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boxplat.adapters import gpu
from boxplat.core import processes
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Service, ServiceStatus

_MIB = 2**20
_GROUP = Path("/sys/fs/cgroup")


def check(name: str, services: Sequence[Service], running: Sequence[ServiceStatus]) -> None:
    """Refuse to start processes that the machine has no memory for; nothing has been changed then.

    Args:
        services: the processes to start.
        running: those of the endpoint that run now; what the largest takes is what the next will take.

    Raises:
        BoxError: not enough main or device memory now (exit code 8).
    """
    if not services:
        return
    tree = processes.children()
    measured = [sum(map(processes.memory, processes.descendants(row.pid, tree))) for row in running if row.pid]
    needed = sum(max(measured, default=service.memory_mib * _MIB) for service in services)
    free = free_memory()
    if needed > free:
        raise _full(name, len(services), "memory", needed, free)
    wanted = sum(service.gpu_memory_mib for service in services) * _MIB
    devices = gpu.read()[0] if wanted else ()
    left = max((device.memory_total - device.memory_used for device in devices), default=0)
    if wanted > left:
        raise _full(name, len(services), "device memory", wanted, left)


def free_memory() -> int:
    """Bytes that can be had without swapping: of the machine, or of the control group where that allows less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used, stat = (_read(_GROUP / name) for name in ("memory.max", "memory.current", "memory.stat"))
    if limit.isdigit() and used.isdigit():
        # Pages of files are given up when they are needed.
        cache = sum(int(line.split()[1]) for line in stat.splitlines() if line.startswith("inactive_file "))
        free = min(free, int(limit) - int(used) + cache)
    return max(0, free)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _full(name: str, count: int, what: str, needed: int, free: int) -> BoxError:
    return BoxError(
        f"no room for the new release of {name} beside the one that serves",
        why=f"{count} process(es) need {needed // _MIB} MiB of {what}, {free // _MIB} are free; nothing was changed",
        fix=f"box status   (stop what is not needed; what a process needs: memory_mib in [endpoints.{name}])",
        code=ExitCode.NO_COMPUTE,
    )
