"""Whether the machine has room for further processes before they are started."""

from __future__ import annotations

from collections.abc import Sequence

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Service, ServiceStatus
from boxplat.releases.claims import claim
from boxplat.runs.ledger import Ledger
from boxplat.runs.space import Space
from boxplat.runs.words import never, reason


def check(name: str, services: Sequence[Service], running: Sequence[ServiceStatus], ledger: Ledger) -> None:
    """Refuse to start processes that the machine has no memory for; nothing has been changed then.

    Args:
        services: the processes to start.
        running: those of the endpoint that run now.

    Raises:
        BoxError: not enough main or device memory now (exit code 8).
    """
    if not services:
        return
    holdings = ledger.holdings()
    space = Space(holdings.capacity, holdings.leases)
    for number, service in enumerate(services, 1):
        wanted = claim(service, [row.pid for row in running if row.pid])
        devices = space.place(wanted)
        if devices is None:
            why = never(holdings.capacity, wanted) or reason(wanted, holdings.capacity, holdings.leases, space)
            raise _full(name, f"process {number} of {len(services)} {why}")
        space.take(wanted, devices)


def _full(name: str, why: str) -> BoxError:
    return BoxError(
        f"no room for the new release of {name} beside what runs",
        why=f"{why}; nothing was changed",
        fix=f"box queue   (stop what is not needed; what a process needs: memory_mib in [endpoints.{name}])",
        code=ExitCode.NO_COMPUTE,
    )
