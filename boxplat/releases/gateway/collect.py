"""From the state of the box to the routes that the gateway should have."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any

from boxplat.core.config import EndpointConfig
from boxplat.core.errors import BoxError
from boxplat.core.model import State
from boxplat.core.replicas import KIND, Replica
from boxplat.core.state import StateStore
from boxplat.core.state.services import Wanted
from boxplat.releases.gateway.model import Route, Target
from boxplat.releases.gateway.spread import spread
from boxplat.supervisor.sockets import free_port

_PORTS, _PARTS = "gateway.ports", "gateway.parts"
# What a route has by the same names from the settings of its endpoint.
_LIMITS = ("sticky", "timeout", "retries", "repeatable", "requests_per_second", "body_mib", "in_flight")


def routes(state: StateStore, own_port: int, bound: Collection[int]) -> list[Route]:
    """The route of every endpoint that has traffic.

    Args:
        own_port: the gateway's own.
        bound: the ports that the gateway listens on; another one that was taken by a stranger meanwhile is given up.
    """
    with state.database.read():
        settings = state.endpoints.settings()
        rows = [row for row in state.services.wanted() if row.service.kind == KIND]
        replicas = [(replica, row) for row in rows if (replica := Replica.of(row.service.name)) is not None]
        names = {*settings, *(replica.endpoint for replica, _ in replicas)}
        traffic = {name: weights for name in sorted(names) if (weights := state.releases.traffic(name))}
        shadows = {name: state.releases.shadow(name) for name in traffic}
    options = {name: _options(settings.get(name, {})) for name in traffic}
    ports = _ports(state, options, own_port, bound)
    parts = _parts(state, traffic)
    found = []
    for name, option in options.items():
        own = [(replica, row) for replica, row in replicas if replica.endpoint == name]
        port, grpc_port = ports[name]
        limits = {key: getattr(option, key) for key in _LIMITS}
        targets = _targets(own, traffic[name], option.replicas)
        found.append(Route(name, port, parts[name], targets, grpc_port, shadows[name], **limits))
    return found


def _options(settings: Mapping[str, Any]) -> EndpointConfig:
    known = {one.name for one in fields(EndpointConfig)}
    return EndpointConfig(**{key: value for key, value in settings.items() if key in known})


def _targets(
    replicas: Iterable[tuple[Replica, Wanted]], weights: Mapping[int, int], most: int
) -> dict[int, tuple[Target, ...]]:
    """The processes of each release that requests may go to, the first `most` of them where so many answer.

    Those that answer; where none does, those that will: a connection waits at the supervisor's socket for them. A
    release that is being stopped keeps its processes for what it has begun.
    """
    by_release: dict[int, list[Wanted]] = {}
    for replica, row in sorted(replicas, key=lambda pair: pair[0]):
        if row.port:
            by_release.setdefault(replica.release, []).append(row)
    found = {}
    for release, rows in by_release.items():
        wanted = [row for row in rows if row.desired]
        answering = [row for row in wanted if row.state.ready]
        coming = [row for row in wanted if row.state not in (State.STOPPED, State.FAILED)]
        ending = [row for row in rows if row.pid is not None]
        chosen = answering[:most] or coming or ([] if weights.get(release) else ending)
        if chosen:
            found[release] = tuple(Target(row.port or 0, row.grpc_port) for row in chosen)
    return found


def _ports(
    state: StateStore, options: Mapping[str, EndpointConfig], own_port: int, bound: Collection[int]
) -> dict[str, tuple[int, int | None]]:
    """(HTTP, gRPC) ports by endpoint: those that they had, else the preferred ones, else the next free ones."""
    kept: dict[str, Any] = json.loads(state.meta.get(_PORTS) or "{}")
    found: dict[str, tuple[int, int | None]] = {}
    taken: set[int] = {port for one in kept.values() for port in one["has"] if port and port != own_port}
    taken.add(own_port)
    for name, option in options.items():
        asked, before = [option.port, option.grpc_port], kept.get(name)
        if before is None or before["asked"] != asked:
            before = {"asked": asked, "has": [None, None]}
        port, grpc_port = (had if had != own_port else None for had in before["has"])
        port = _port(port, option.port, taken, bound)
        grpc_port = _port(grpc_port, option.grpc_port, taken, bound) if option.grpc_port else None
        kept[name] = {"asked": asked, "has": [port, grpc_port]}
        found[name] = port, grpc_port
    text = json.dumps(kept, sort_keys=True)
    if text != state.meta.get(_PORTS):
        state.meta.set(_PORTS, text)
    return found


def _port(had: int | None, preferred: int, taken: set[int], bound: Collection[int]) -> int:
    """The port that it had, unless somebody took it while nobody listened; else a free one."""
    if had and (had in bound or _free(had) == had):
        return had
    port = _free(preferred)
    while port in taken:
        port = _free(port + 1)
    taken.add(port)
    return port


def _free(preferred: int) -> int:
    """A free port, of any number where none near the preferred one is: no endpoint may keep the others from serving."""
    try:
        return free_port(preferred)
    except BoxError:
        return free_port(0)


def _parts(state: StateStore, traffic: Mapping[str, Mapping[int, int]]) -> dict[str, tuple[tuple[int, int], ...]]:
    """The parts of the hash space, from those that each endpoint had before."""
    before: dict[str, Any] = json.loads(state.meta.get(_PARTS) or "{}")
    found = {name: spread(weights, [(r, p) for r, p in before.get(name, [])]) for name, weights in traffic.items()}
    text = json.dumps(found, sort_keys=True)
    if text != json.dumps(before, sort_keys=True):
        state.meta.set(_PARTS, text)
    return found
