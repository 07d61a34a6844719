"""One reading of everything that a screen or `box status` shows."""

from __future__ import annotations

import time
from dataclasses import replace

from boxplat.core import processes
from boxplat.core.config import Config
from boxplat.core.model import ServiceStatus, Snapshot, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.endpoints import endpoints
from boxplat.supervisor.lock import holder


def take(paths: Paths, config: Config, state: StateStore, runs: int = 50, events: int = 50) -> Snapshot:
    """The newest `runs` runs and `events` events, every service and endpoint, and the devices."""
    from boxplat.adapters import gpu
    from boxplat.runs import host

    there = holder(paths)
    with state.database.read():
        services = [believed(row, there is not None) for row in state.services.all()]
        recent, log = state.runs.all(limit=runs), state.events.all(limit=events)
        served = endpoints(config.endpoints, state, services)
    tree = processes.children() if there else {}
    measured = tuple(_measured(row, tree) for row in services)
    gpus, note = gpu.read()
    return Snapshot(
        at=time.time(),
        project=config.project.name,
        root=str(paths.root),
        supervisor=there,
        services=measured,
        runs=tuple(recent),
        endpoints=served,
        gpus=gpus,
        gpu_note=note,
        events=tuple(log),
        host=host.read(),
    )


def believed(row: ServiceStatus, held: bool) -> ServiceStatus:
    """Without a supervisor no recorded state is trusted."""
    if held:
        return row
    left = row.state not in (State.STOPPED, State.FAILED)
    reason = "its supervisor is gone; `box up` takes over" if left else row.reason
    return replace(row, state=State.STOPPED if left else row.state, pid=None, url=None, reason=reason)


def _measured(row: ServiceStatus, tree: dict[int, list[int]]) -> ServiceStatus:
    """With the memory of its processes."""
    if row.pid is None:
        return row
    return replace(row, memory_bytes=sum(processes.memory(pid) for pid in processes.descendants(row.pid, tree)))
