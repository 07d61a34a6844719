"""What the gateway has really taken, for those who wait for it or ask through it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY
from boxplat.core.state import StateStore
from boxplat.releases.gateway.admin import Admin
from boxplat.releases.gateway.model import Key, Route

_KEY = "gateway.applied"


@dataclass(frozen=True, slots=True)
class Door:
    """An endpoint as the gateway serves it: its URL, the address of its gRPC listener, and who answers.

    `targets` are the ports of the processes by release.
    """

    url: str
    grpc: str | None
    weights: Mapping[int, int]
    shadow: int | None
    targets: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Applied:
    """The configuration in use since `at`; `error` says why a later one was refused, and is empty otherwise.

    `keys` are the names of those that are let in; without any everybody on this machine is.
    """

    at: float = 0.0
    endpoints: Mapping[str, Door] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    error: str = ""

    def serves(self, endpoint: str, weights: Mapping[int, int], shadow: int | None = None) -> bool:
        """Whether requests go to these releases already."""
        door = self.endpoints.get(endpoint)
        wanted = {release: percent for release, percent in weights.items() if percent}
        return not wanted if door is None else dict(door.weights) == wanted and door.shadow == shadow


def applied(state: StateStore) -> Applied:
    """What the gateway of a box has taken last."""
    text = state.meta.get(_KEY)
    if text is None:
        return Applied()
    found: dict[str, Any] = json.loads(text)
    doors = {name: _door(data) for name, data in found["endpoints"].items()}
    return Applied(found["at"], doors, tuple(found.get("keys", ())), found["error"])


def note(state: StateStore, routes: Sequence[Route], keys: Sequence[Key], error: str = "") -> None:
    """Write down what is in use, and why something else is not."""
    doors = {route.endpoint: asdict(_served(route)) for route in routes}
    names = [key.name for key in keys]
    state.meta.set(_KEY, json.dumps({"at": time.time(), "endpoints": doors, "keys": names, "error": error}))


def folder(paths: Paths) -> Path:
    """Where the gateway's files are."""
    return paths.state / GATEWAY


def drained(paths: Paths, endpoint: str, release: int) -> bool:
    """Whether the gateway has no request in flight at a release; also where it does not run."""
    pattern = rf"^cluster\.{endpoint}@{release}(-grpc)?\.upstream_rq_active$"
    try:
        return not any(Admin(folder(paths)).numbers(pattern).values())
    except TimeoutError:
        # It runs, and has no time to say.
        return False
    except OSError:
        return True


def _served(route: Route) -> Door:
    targets = {release: tuple(one.port for one in found) for release, found in route.targets.items()}
    grpc = f"127.0.0.1:{route.grpc_port}" if route.grpc_port else None
    return Door(f"http://127.0.0.1:{route.port}", grpc, route.weights, route.shadow, targets)


def _door(data: Mapping[str, Any]) -> Door:
    weights = {int(release): percent for release, percent in data["weights"].items()}
    targets = {int(release): tuple(ports) for release, ports in data["targets"].items()}
    return Door(data["url"], data["grpc"], weights, data["shadow"], targets)
