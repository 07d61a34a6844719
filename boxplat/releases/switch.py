"""Changing which release an endpoint serves, and going back when the new one does not become healthy."""

from __future__ import annotations

import time
from collections.abc import Callable

from boxplat.adapters import bentos
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.model import Release, Service, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.services import Wanted
from boxplat.supervisor.lock import holder

_POLL = 0.1
# A process may lose a race once while it starts; a release that ends twice will not come up by trying on.
_EXITS = 2


def live_release(state: StateStore, endpoint: str) -> Release | None:
    """The release that gets the endpoint's requests."""
    weights = state.releases.traffic(endpoint)
    return next((release for release in state.releases.all(endpoint) if weights.get(release.number, 0) > 0), None)


class Switch:
    """Moves one endpoint from release to release.

    Args:
        by: who asks, for the record.
        timeout: seconds that a process may take to become healthy, or to stop.
    """

    def __init__(self, state: StateStore, paths: Paths, config: Config, name: str, by: str, timeout: float) -> None:
        self._state = state
        self._paths = paths
        self._config = config
        self._name = name
        self._by = by
        self._timeout = timeout

    def declared_for(self, release: Release) -> bool:
        """Whether the running declaration is the one that this release has under the settings of now."""
        row = self._row()
        return row is not None and row.service.digest() == self._service(release).digest()

    def keep(self, release: Release) -> None:
        """See to it that the live release runs.

        Raises:
            BoxError: it does not become healthy (exit code 1).
        """
        row, after = self._row(), self._newest_event()
        if row is not None and (not row.desired or row.state is State.FAILED):
            self._state.services.set_desired(self._name, True, self._by)
        failure = self._failure(self._service(release), after)
        if failure:
            raise self._error(release, failure, "it stays the live release")

    def to(self, release: Release) -> Release:
        """Put a new release live and return it as it is on record then.

        Raises:
            BoxError: it did not become healthy (exit code 1). The former release is declared again.
        """
        former, before = live_release(self._state, self._name), self._row()
        log, after = self._paths.service_log(self._name), self._newest_event()
        start = log.stat().st_size if log.exists() else 0
        service = self._service(release)
        try:
            self._state.services.declare(service, True, self._by)
            failure = self._failure(service, after)
        except BaseException:
            self._restore(release, former, before)
            raise
        if failure:
            # Read before the former release writes to the same log.
            words = bentos.last_words(log, start)
            now = self._back(release, former, before)
            raise self._error(release, f"{failure}\n{words}" if words else failure, now)
        self._state.releases.serve(self._name, release.number, self._by)
        return next(found for found in self._state.releases.all(self._name) if found.number == release.number)

    def off(self) -> None:
        """Stop the endpoint and send it no requests."""
        self._state.releases.serve(self._name, None, self._by)
        self._remove()

    def _back(self, release: Release, former: Release | None, before: Wanted | None) -> str:
        """Return to what was before; what became of it, in words."""
        after = self._newest_event()
        service = self._restore(release, former, before)
        if service is None or former is None:
            return "the endpoint has no other release"
        failure = self._failure(service, after)
        return f"release {former.number} " + (f"was declared again but: {failure}" if failure else "serves again")

    def _restore(self, release: Release, former: Release | None, before: Wanted | None) -> Service | None:
        """Record the failure and declare what was live before; None: nothing was."""
        self._state.releases.set_state(self._name, release.number, "failed", self._by)
        if former is None:
            self._remove()
            return None
        service = self._service(former)
        # Exactly as it was, unless an interrupted deploy left the declaration of another release.
        if before is not None and before.service.env.get(bentos.RELEASE) == str(former.number):
            service = before.service
        self._state.services.declare(service, True, self._by)
        return service

    def _remove(self) -> None:
        if self._row() is not None:
            self._state.services.set_desired(self._name, False, self._by)
            # Without a supervisor there is nobody to stop it: the next one ends what has no declaration.
            self._until(lambda row: "" if row.pid is None else None)
            self._state.services.remove(self._name, self._by)

    def _failure(self, service: Service, after: int) -> str:
        """Wait until the process of a declaration is healthy; why it will not be, or an empty text.

        Args:
            after: id of the last event before the declaration was made.
        """

        def verdict(row: Wanted) -> str | None:
            if row.state is State.RUNNING and row.running_digest == service.digest():
                return ""
            kinds = [event.kind for event in self._state.events.all(after, self._name)]
            if "service.failed" in kinds:
                return "its process could not be started"
            return "its process ended while starting" if kinds.count("service.exited") >= _EXITS else None

        return self._until(verdict)

    def _until(self, verdict: Callable[[Wanted], str | None]) -> str:
        """Look at the service until there is a verdict on it (an empty text is a good one) or time is up."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            row = self._row()
            found = "its declaration was removed meanwhile" if row is None else verdict(row)
            if found is not None:
                return found
            if holder(self._paths) is None:
                return "the supervisor ended meanwhile: box up --detach"
            time.sleep(_POLL)
        return f"it was not healthy within {self._timeout:g} s"

    def _service(self, release: Release) -> Service:
        return bentos.service(self._name, release, self._config, self._paths)

    def _row(self) -> Wanted | None:
        return next((row for row in self._state.services.wanted() if row.service.name == self._name), None)

    def _newest_event(self) -> int:
        newest = self._state.events.all(limit=1)
        return newest[-1].id if newest else 0

    def _error(self, release: Release, failure: str, now: str) -> BoxError:
        return BoxError(
            f"release {release.number} of {self._name} did not become healthy; {now}",
            why=failure,
            fix=f"correct what the log says, then: box deploy {self._name}",
            log=self._paths.service_log(self._name),
        )
