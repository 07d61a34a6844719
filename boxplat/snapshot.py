"""One reading of everything that a screen or `box status` shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from boxplat.core import processes
from boxplat.core.config import Config
from boxplat.core.model import Endpoint, Event, Run, ServiceStatus, Snapshot, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.endpoints import endpoints
from boxplat.supervisor.lock import holder

_MEMORY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What a snapshot takes from the state, and of which version of it."""

    key: tuple[object, ...]
    services: tuple[ServiceStatus, ...]
    runs: tuple[Run, ...]
    endpoints: tuple[Endpoint, ...]
    events: tuple[Event, ...]


class Snapshots:
    """Snapshots of one box, one after another: what nobody has written since is not read again.

    Memory is measured every five seconds: for that every process of the machine is looked at.
    """

    def __init__(self, paths: Paths, config: Config, state: StateStore) -> None:
        self._paths = paths
        self._config = config
        self._state = state
        self._lock = threading.Lock()
        self._read: Stored | None = None
        self._memory: tuple[float, dict[int, int]] = (0.0, {})

    def take(self, runs: int = 50, events: int = 50) -> Snapshot:
        """The newest `runs` runs and `events` events, every service and endpoint, and the devices."""
        from boxplat.adapters import gpu
        from boxplat.runs import host

        there = holder(self._paths)
        with self._lock:
            stored = self._stored(there is not None, runs, events)
            memory = self._measured([row.pid for row in stored.services if row.pid]) if there else {}
        gpus, note = gpu.read()
        return Snapshot(
            at=time.time(),
            project=self._config.project.name,
            root=str(self._paths.root),
            supervisor=there,
            services=tuple(replace(row, memory_bytes=memory.get(row.pid or 0)) for row in stored.services),
            runs=stored.runs,
            endpoints=stored.endpoints,
            gpus=gpus,
            gpu_note=note,
            events=stored.events,
            host=host.read(),
        )

    def _stored(self, held: bool, runs: int, events: int) -> Stored:
        """What the state says now."""
        state = self._state
        # A connection of another thread counts versions of its own.
        key = (threading.get_ident(), *state.database.version(), held, runs, events)
        if self._read is None or self._read.key != key:
            with state.database.read():
                services = tuple(believed(row, held) for row in state.services.all())
                self._read = Stored(
                    key,
                    services,
                    tuple(state.runs.all(limit=runs)),
                    endpoints(self._config.endpoints, state, services),
                    tuple(state.events.all(limit=events)),
                )
        return self._read

    def _measured(self, pids: Sequence[int]) -> dict[int, int]:
        """Bytes by pid, of each process with all below it."""
        at, known = self._memory
        if time.monotonic() - at > _MEMORY_SECONDS or known.keys() != set(pids):
            tree = processes.children()
            known = {pid: sum(map(processes.memory, processes.descendants(pid, tree))) for pid in pids}
            self._memory = (time.monotonic(), known)
        return known


def believed(row: ServiceStatus, held: bool) -> ServiceStatus:
    """Without a supervisor no recorded state is trusted."""
    if held:
        return row
    left = row.state not in (State.STOPPED, State.FAILED)
    reason = "its supervisor is gone; `box up` takes over" if left else row.reason
    return replace(row, state=State.STOPPED if left else row.state, pid=None, url=None, reason=reason)
