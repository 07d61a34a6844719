"""Leases whose processes have more than was claimed: told of, and by policy stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from boxplat.core import processes
from boxplat.core.claims import Capacity, Lease
from boxplat.core.paths import Paths
from boxplat.core.state.database import Database
from boxplat.core.state.leases import Leases
from boxplat.runs.ledger import Ledger
from boxplat.runs.space import share
from boxplat.runs.usage import trees
from boxplat.runs.words import size

_EVERY = 2.0
# A box at rest has endpoints only, which hardly change.
_SERVICES_EVERY = 10.0
_STEP = "run/"
_GRACE_SECONDS = 5.0
# What an allocator or a runtime adds of its own.
_SHARE = 1.1
_SLACK = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Excess:
    """More than was claimed, of memory or of device memory (bytes)."""

    lease: Lease
    what: str
    claimed: int
    used: int

    @property
    def words(self) -> str:
        return f"{self.lease.owner} has {size(self.used)} of {self.what} and asked for {size(self.claimed)}"


def excess(lease: Lease, capacity: Capacity) -> Excess | None:
    """By what a lease's processes go beyond what was asked for, as they were measured last."""
    if not lease.claim.asked:
        return None
    if lease.used > _SHARE * lease.claim.memory + _SLACK:
        return Excess(lease, "memory", lease.claim.memory, lease.used)
    devices = [device for device in capacity.devices if device.uuid in lease.devices]
    claimed = sum(share(lease.claim, device) for device in devices)
    if lease.vram_used > _SHARE * claimed + _SLACK:
        return Excess(lease, "device memory", claimed, lease.vram_used)
    return None


class Watch:
    """Looks at the leases every two seconds, at those of services alone more rarely.

    Args:
        policy: "report", or "stop" for steps.
    """

    def __init__(self, database: Database, paths: Paths, ledger: Ledger, policy: str) -> None:
        self._leases = Leases(database)
        self._paths = paths
        self._ledger = ledger
        self._policy = policy
        self._due = 0.0
        self._next_services = 0.0
        self._stopping: dict[int, float] = {}

    def tick(self) -> None:
        """One look, when it is time and anything is leased."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        leases, waiting = self._leases.living()
        steps = waiting or any(lease.owner.startswith(_STEP) for lease in leases)
        if not leases or not (steps or now >= self._next_services):
            return
        self._next_services = now + _SERVICES_EVERY
        holdings = self._ledger.holdings(_EVERY / 2)
        self._stopping = {key: since for key, since in self._stopping.items() if key in {x.id for x in holdings.leases}}
        for lease in holdings.leases:
            found = excess(lease, holdings.capacity)
            if found is not None:
                self._found(found, holdings.leases, now)

    def _found(self, found: Excess, leases: Sequence[Lease], now: float) -> None:
        lease = found.lease
        stop = self._policy == "stop" and lease.owner.startswith(_STEP)
        with self._leases.write() as books:
            if books.told(lease.id):
                told = {"what": found.what, "claimed": found.claimed, "used": found.used, "stopped": stop}
                books.event(lease.owner, "lease.overuse", told)
        if not stop:
            return
        since = self._stopping.setdefault(lease.id, now)
        if since == now:
            self._tell(found)
        number = signal.SIGKILL if now - since > _GRACE_SECONDS else signal.SIGTERM
        processes.signal_all(trees(leases)[lease.id], number)

    def _tell(self, found: Excess) -> None:
        """Into the log of the run, where its user looks first."""
        run = found.lease.owner.split("/")[1]
        if run.isdecimal() and self._paths.run_dir(int(run)).is_dir():
            with self._paths.run_log(int(run)).open("a") as log:
                log.write(f'boxplat: {found.words}: it is stopped ([compute] overuse = "stop")\n')
