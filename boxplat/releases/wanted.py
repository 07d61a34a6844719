"""Which processes the endpoints want: replicas of every release that gets requests or takes part in a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxplat.adapters import bentos
from boxplat.core.config import Config
from boxplat.core.model import Release, Service
from boxplat.core.paths import Paths
from boxplat.core.replicas import Replica
from boxplat.core.state import StateStore


def wanted(state: StateStore, moved: bool = False) -> dict[str, Replica]:
    """By the name of its service, every process that has to run.

    A release is wanted that has traffic or is the shadow, that a change under way will send requests to, or that had
    them before a change that is still watched.

    Args:
        moved: leave out the changes that have not moved the traffic yet: who makes them starts what they need.
    """
    with state.database.read():
        settings, releases = state.endpoints.settings(), state.releases.serviceable()
        numbers = {name: served(state, name) for name in {name for name, _ in releases}}
        open_changes = state.changes.current()
    for change in open_changes:
        if moved and change.moved is None:
            continue
        numbers.setdefault(change.endpoint, set()).update(change.releases | change.released)
    found: dict[str, Replica] = {}
    for name, number in releases:
        if number in numbers[name]:
            for which in _replicas(name, number, settings):
                found[which.name] = which
    return found


def replicas(release: Release, settings: Mapping[str, Mapping[str, Any]]) -> list[Replica]:
    """The processes of a release."""
    return _replicas(release.endpoint, release.number, settings)


def _replicas(name: str, number: int, settings: Mapping[str, Mapping[str, Any]]) -> list[Replica]:
    count = int(settings.get(name, {}).get("replicas", 1))
    return [Replica(name, number, index) for index in range(1, count + 1)]


def served(state: StateStore, name: str) -> set[int]:
    """The releases that an endpoint sends requests to, the shadow among them."""
    shadow = state.releases.shadow(name)
    return {*state.releases.traffic(name)} | ({shadow} if shadow else set())


def declaration(state: StateStore, paths: Paths, config: Config, which: Replica) -> Service:
    """The service that a process is.

    Raises:
        BoxError: its Bento is gone (exit code 9).
    """
    release = next(found for found in state.releases.all(which.endpoint) if found.number == which.release)
    return bentos.replica(which, release, config, paths)
