"""Leases for the processes of releases: taken before one starts, its own while it runs, ended with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from boxplat.core.claims import Lease
from boxplat.core.errors import BoxError
from boxplat.core.model import Service
from boxplat.core.replicas import KIND, Replica
from boxplat.releases.claims import claim, owner
from boxplat.runs.ledger import Ledger, environment

_AGAIN = 0.5


class Leasing:
    """What the services of this supervisor have leased.

    Args:
        processes: name and pid of every process that it looks after.
    """

    def __init__(self, ledger: Ledger, processes: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._ledger = ledger
        self._processes = processes
        self._leases: dict[str, Lease] = {}
        self._waits: dict[str, str] = {}
        self._due: dict[str, float] = {}

    def ask(self, service: Service) -> str:
        """Why the service cannot start now; empty when it has what it needs. Only releases need a lease."""
        name, now = service.name, time.monotonic()
        if service.kind != KIND or name in self._leases:
            return ""
        if now < self._due.get(name, 0.0):
            return self._waits[name]
        self._due[name] = now + _AGAIN
        try:
            answer = self._ledger.ask(owner(name), claim(service, self._beside(name)))
        except BoxError as error:
            self._waits[name] = f"{error.what}: {error.why}"
            return self._waits[name]
        if isinstance(answer, Lease):
            self._leases[name] = answer
            self._waits.pop(name, None)
            self._due.pop(name, None)
            return ""
        self._waits[name] = f"waits for room: {answer.why}"
        return self._waits[name]

    def environment(self, name: str) -> dict[str, str]:
        """What its process must be told of its devices."""
        lease = self._leases.get(name)
        return environment(lease) if lease else {}

    def started(self, name: str, pid: int) -> None:
        """The lease is the process's from now on."""
        lease = self._leases.get(name)
        if lease is not None and self._ledger.hand(lease.id, pid):
            self._leases[name] = replace(lease, pid=pid)

    def adopt(self, service: Service, pid: int) -> None:
        """Go on with the lease of a process that an earlier supervisor started, or try to take one for it."""
        if service.kind != KIND:
            return
        with contextlib.suppress(BoxError, ProcessLookupError):
            # Without one it runs all the same; its memory counts as that of a process without a lease.
            self._adopt(service, pid, owner(service.name))

    def _adopt(self, service: Service, pid: int, whose: str) -> None:
        for lease in self._ledger.holdings().leases:
            if (lease.owner, lease.pid) == (whose, pid):
                self._leases[service.name] = lease
                return
        answer = self._ledger.ask(whose, claim(service), pid=pid, started=True)
        if isinstance(answer, Lease):
            self._leases[service.name] = answer
        else:
            self._ledger.withdraw(whose, pid)

    def crashed(self, name: str) -> None:
        """Its process is gone and another will follow: its room stays its own."""
        lease = self._leases.pop(name, None)
        kept = self._ledger.retake(lease) if lease else None
        if kept is not None:
            self._leases[name] = kept

    def ended(self, name: str) -> None:
        """The service has no process and starts none now."""
        lease = self._leases.pop(name, None)
        if lease is not None:
            self._ledger.release(lease.id)
        if self._waits.pop(name, None) is not None:
            self._ledger.withdraw(owner(name))
        self._due.pop(name, None)

    def _beside(self, name: str) -> list[int]:
        which = Replica.of(name)
        siblings = ((Replica.of(other), pid) for other, pid in self._processes())
        return [pid for other, pid in siblings if other and which and other.endpoint == which.endpoint]
