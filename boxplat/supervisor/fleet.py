"""The processes of the releases: started where requests go to them, drained and stopped where none do any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from boxplat.adapters import bentos
from boxplat.core import processes
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.logs import last_words
from boxplat.core.model import State
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY, KIND, Replica
from boxplat.core.state import StateStore
from boxplat.core.state.changes import Change
from boxplat.core.state.services import Wanted
from boxplat.core.values import seconds
from boxplat.releases import gateway
from boxplat.releases.abandoned import abandon
from boxplat.releases.wanted import declaration, served, wanted

BY = "supervisor"
_EVERY = 0.5
_WATCHED = ("deploy", "split")
_DRAIN_SECONDS = 130.0
_SAID_LINES = 8
_ON_ITS_WAY = 1.0


class Crashes(Protocol):
    """A service's child, as far as it matters here."""

    crashed: float | None


class Fleet:
    """Brings the declared processes in line with traffic and changes; each step is a transaction of its own."""

    def __init__(self, state: StateStore, paths: Paths, config: Config) -> None:
        self._state = state
        self._paths = paths
        self._config = config
        self._seen: tuple[int, int] | None = None
        self._due = 0.0
        self._leaving: dict[str, float] = {}
        self._undeclared: set[str] = set()

    def tick(self, children: Mapping[str, Crashes]) -> None:
        """One step, when anything was written or time alone may have changed something."""
        now = time.monotonic()
        if self._state.database.version() == self._seen and now < self._due:
            return
        self._due = now + _EVERY
        for change in self._state.changes.current():
            self._tend(change, children)
        there = {row.service.name: row for row in self._state.services.wanted()}
        self._start(there)
        self._stop({name: row for name, row in there.items() if row.service.kind == KIND}, now)
        self._gate(there)
        self._seen = self._state.database.version()

    # -- changes -------------------------------------------------------------------------------------------------

    def _tend(self, change: Change, children: Mapping[str, Crashes]) -> None:
        """End a change whose process died before it moved the traffic, watch one that has moved it."""
        if change.moved is None:
            if not processes.alive(change.pid, change.pid_started):
                abandon(self._state, change, BY)
            return
        settings = self._state.endpoints.settings().get(change.endpoint, {})
        watch = seconds(str(settings.get("watch", "60s")))
        new = change.releases - change.released
        crashed = self._crashed(change, new, children)
        if crashed is not None and change.released:
            self._give_back(change, crashed)
        elif change.kind not in _WATCHED or not change.released or abs(time.time() - change.moved) > watch:
            self._state.changes.end(change.id)

    def _crashed(self, change: Change, new: set[int], children: Mapping[str, Crashes]) -> Replica | None:
        """A process of a release that got its first requests with this change, still has some, and ended unasked."""
        assert change.moved is not None
        new &= served(self._state, change.endpoint)
        for name, child in children.items():
            which = Replica.of(name)
            if which is None or which.endpoint != change.endpoint or which.release not in new:
                continue
            if child.crashed is not None and child.crashed > change.moved:
                return which
        return None

    def _give_back(self, change: Change, which: Replica) -> None:
        """Return to what was live before; the release that crashed gets no further requests."""
        after = time.time() - (change.moved or 0.0)
        why = f"release {which.release} crashed {after:.0f} s after it got its first requests"
        words = last_words(self._paths.service_log(which.name), _SAID_LINES)
        evidence = {"process": which.name, "seconds": round(after, 1), "said": words, "change": change.id}
        try:
            back = self._state.releases.split(
                change.endpoint,
                change.before,
                BY,
                shadow=change.before_shadow,
                reason=why,
                evidence=evidence,
                kind="return",
                failed={which.release: f"{why}\n{words}"},
            )
            self._state.changes.end(back.id)
        except BoxError as error:
            self._state.events.append(change.endpoint, "endpoint.not_returned", {"why": f"{why}; {error.what}"})
        self._state.changes.end(change.id, why)

    # -- processes -----------------------------------------------------------------------------------------------

    def _start(self, there: Mapping[str, Wanted]) -> None:
        for name, which in wanted(self._state, moved=True).items():
            if name in there or name in self._undeclared:
                continue
            try:
                self._state.services.add(declaration(self._state, self._paths, self._config, which), BY)
            except BoxError as error:
                self._undeclared.add(name)
                self._state.events.append(
                    which.endpoint, "release.undeclared", {"number": which.release, "why": str(error)}
                )

    def _stop(self, there: Mapping[str, Wanted], now: float) -> None:
        """Drain and stop what is not wanted any more, and forget it when it has stopped."""
        kept = wanted(self._state)
        self._leaving = {name: since for name, since in self._leaving.items() if name in there and name not in kept}
        for name, row in there.items():
            which = Replica.of(name)
            if which is None or name in kept:
                continue
            if row.desired:
                # One that crashed starts again while requests wait at its socket; one that has given up answers none.
                if row.state is State.FAILED or self._drained(which, row.port, now):
                    self._state.services.let_go(name, partial(wanted, self._state), BY)
            elif row.pid is None and row.state is State.STOPPED:
                if self._state.services.let_go(name, partial(wanted, self._state), BY):
                    shutil.rmtree(bentos.metrics(self._paths, name), ignore_errors=True)

    def _drained(self, which: Replica, port: int | None, now: float) -> bool:
        """Whether the gateway sends it nothing any more, and has had its answers."""
        endpoint = which.endpoint
        taken = gateway.applied(self._state)
        weights, shadow = self._state.releases.traffic(endpoint), self._state.releases.shadow(endpoint)
        if self._running(GATEWAY) and not taken.serves(endpoint, weights, shadow):
            return False
        door = taken.endpoints.get(endpoint)
        serves = which.release in weights or which.release == shadow
        if serves and door and port in door.targets.get(which.release, ()) and self._running(GATEWAY):
            # One replica of fewer: the release has requests, and this one may still get some.
            return False
        since = self._leaving.setdefault(which.name, now)
        if serves:
            return now - since > _ON_ITS_WAY
        if now - since > _DRAIN_SECONDS:
            return True
        return gateway.drained(self._paths, endpoint, which.release)

    def _running(self, name: str) -> bool:
        return any(row.service.name == name and row.pid is not None for row in self._state.services.wanted())

    def _gate(self, there: Mapping[str, Wanted]) -> None:
        """A gateway where there is an endpoint to reach."""
        needed = bool(wanted(self._state)) or any(row.service.kind == KIND for row in there.values())
        if needed and GATEWAY not in there:
            self._state.services.add(gateway.service(self._config), BY)
        elif not needed and GATEWAY in there:
            self._state.services.remove(GATEWAY, BY)
