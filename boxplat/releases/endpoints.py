"""The endpoints as they are now, read from what their releases and the gateway are recorded to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from boxplat.core.model import Endpoint, ServiceStatus, State
from boxplat.core.replicas import GATEWAY, KIND, Replica
from boxplat.core.state import StateStore
from boxplat.releases.gateway import applied

_BEST = (
    State.RUNNING,
    State.ASLEEP,
    State.UNHEALTHY,
    State.STARTING,
    State.WAITING,
    State.STOPPING,
    State.STOPPED,
    State.FAILED,
)


def endpoints(names: Iterable[str], state: StateStore, services: Sequence[ServiceStatus]) -> tuple[Endpoint, ...]:
    """Every endpoint that is configured or was ever released, by name.

    Args:
        names: the configured ones.
        services: every service as it is now.
    """
    releases, taken = state.releases.all(), applied(state)
    access = "keys" if state.keys.all() else "open"
    gateway = next((row for row in services if row.name == GATEWAY), None)
    found = []
    for name in sorted({*names, *(release.endpoint for release in releases)}):
        traffic = state.releases.traffic(name)
        now, reason = _state(name, traffic, gateway, services)
        door = taken.endpoints.get(name) if gateway and gateway.url and traffic else None
        found.append(
            Endpoint(
                name=name,
                url=door.url if door else None,
                state=now,
                traffic=traffic,
                releases=tuple(release for release in releases if release.endpoint == name),
                grpc=door.grpc if door else None,
                shadow=state.releases.shadow(name),
                reason=reason,
                access=access,
            )
        )
    return tuple(found)


def _state(
    name: str, traffic: Iterable[int], gateway: ServiceStatus | None, services: Sequence[ServiceStatus]
) -> tuple[State, str]:
    """As good as the worst of what it needs: each release with requests, and the gateway. With the reason."""
    needed = [_best(name, number, services) for number in traffic]
    if not needed:
        return State.STOPPED, ""
    rows = [row for row in (*needed, gateway) if row is not None]
    if len(rows) <= len(needed):
        return State.STOPPED, "one of its processes is not declared yet"
    worst = max(rows, key=lambda row: _BEST.index(row.state))
    return worst.state, f"{worst.name}: {worst.reason}" if worst.reason else ""


def _best(name: str, number: int, services: Sequence[ServiceStatus]) -> ServiceStatus | None:
    """The replica of a release that is best off."""
    rows = replicas_of(name, services, number)
    return min(rows, key=lambda row: _BEST.index(row.state), default=None)


def replicas_of(name: str, services: Iterable[ServiceStatus], number: int | None = None) -> list[ServiceStatus]:
    """The processes of an endpoint, or of one of its releases."""
    found = []
    for row in services:
        which = Replica.of(row.name) if row.kind == KIND else None
        if which and which.endpoint == name and number in (None, which.release):
            found.append(row)
    return found
