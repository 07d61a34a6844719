"""The steps of every change of an endpoint: start, ready, warmed up, traffic, taken. The old serve on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from boxplat.adapters import bentos
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.model import Service, State
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY, Replica
from boxplat.core.state import StateStore
from boxplat.core.state.changes import Change
from boxplat.core.state.services import Wanted
from boxplat.releases import gateway, room
from boxplat.releases.abandoned import abandon
from boxplat.releases.endpoints import replicas_of
from boxplat.releases.wanted import declaration, replicas
from boxplat.runs.capacity import Machine
from boxplat.runs.ledger import Ledger
from boxplat.supervisor.lock import holder

Told = Callable[[str], None]
_POLL = 0.05
# A process may lose a race once while it starts; a release that ends twice will not come up by trying on.
_EXITS = 2
_GATEWAY_SECONDS = 30.0


class StepError(Exception):
    """A step that came to nothing: which, why, and the log that has the whole story."""

    def __init__(self, step: str, why: str, log: Path | None = None) -> None:
        super().__init__(why)
        self.step, self.why, self.log = step, why, log


@dataclass(frozen=True)
class Rollout:
    """Carries out changes of one endpoint in this process.

    Args:
        by: who asks, for the record.
        timeout: seconds that a process may take to become ready, or to stop.
        told: hears of each step before it is taken.
    """

    state: StateStore
    paths: Paths
    config: Config
    name: str
    by: str
    timeout: float
    told: Told

    def processes(self, numbers: Iterable[int], count: int | None = None) -> list[Replica]:
        """Those of some releases of the endpoint; `count` replicas of each, else as many as it has by now."""
        settings, wanted = dict(self.state.endpoints.settings()), set(numbers)
        if count is not None:
            settings[self.name] = {"replicas": count}
        found = [release for release in self.state.releases.all(self.name) if release.number in wanted]
        return [which for release in found for which in replicas(release, settings)]

    def room_for(self, numbers: Iterable[int], further: Iterable[Service] = (), count: int | None = None) -> None:
        """Refuse what the machine has no room for.

        Args:
            numbers: releases that have to run; what runs of them already needs no room.
            further: processes that have to be started beside them.
            count: replicas that each release is to have (None: as many as now).

        Raises:
            BoxError: not enough memory now (exit code 8).
        """
        running = [row for row in replicas_of(self.name, self.state.services.all()) if row.pid]
        there = {row.name for row in running}
        missing = [which for which in self.processes(numbers, count) if which.name not in there]
        specs = [declaration(self.state, self.paths, self.config, which) for which in missing]
        room.check(self.name, [*specs, *further], running, Ledger(self.state.database, Machine(self.config.compute)))

    def alone(self) -> None:
        """End what an earlier command left open: nobody else can be at it, while this one holds the endpoint's lock."""
        for change in self.state.changes.current(self.name):
            if change.moved is None:
                abandon(self.state, change, self.by)

    def settle(self) -> None:
        """What holds for all releases of the endpoint is as boxplat.toml has it now."""
        if self.name in self.config.endpoints:
            self.state.endpoints.settle(self.name, asdict(self.config.endpoints[self.name]))

    def carry_out(self, change: Change, evidence: Mapping[str, Any], owed: Mapping[str, Any] | None = None) -> Change:
        """Take every step of a change.

        Raises:
            StepError: a step came to nothing, and what was live before is live.
            BoxError: its releases must not serve, or cannot be declared.
        """
        evidence = dict(evidence)
        warmed = self.start(change.releases)
        evidence |= {"warm_up": warmed} if warmed else {}
        moved = self.state.releases.split(
            self.name,
            change.weights,
            self.by,
            shadow=change.shadow,
            evidence=evidence,
            change=change.id,
            reason=change.reason,
            owed=owed,
        )
        problem = self._until(partial(self._taken, time.time()), _GATEWAY_SECONDS)
        if problem:
            self.state.releases.split(
                self.name,
                moved.before,
                self.by,
                shadow=moved.before_shadow,
                kind="return",
                reason=f"the gateway did not take it: {problem}",
            )
            raise StepError("gateway", problem, self.paths.service_log(GATEWAY))
        return moved

    def start(self, numbers: Iterable[int]) -> dict[str, Any]:
        """See to it that releases run, are ready, and that those which had no requests yet are warm.

        Returns:
            The warm-up of each release that had one, by number.

        Raises:
            StepError: one does not become ready, or fails its warm-up.
        """
        chosen = self.processes(numbers)
        rows = {row.service.name: row for row in self.state.services.wanted()}
        after = self._newest_event()
        for which in chosen:
            row = rows.get(which.name)
            if row is None:
                self.state.services.add(declaration(self.state, self.paths, self.config, which), self.by)
            elif not row.desired or row.state is State.FAILED:
                self.state.services.set_desired(which.name, True, self.by)
        for which in chosen:
            failure = self._until(lambda which=which: self._ready(which, after), self.timeout)  # type: ignore[misc]
            if failure:
                raise self._failed("ready", which, failure)
        fresh = [which for which in chosen if which.name not in rows]
        return {which.name: found for which in fresh if (found := self._warm(which))}

    def stopped(self) -> str:
        """Wait until no process of the endpoint is left; why some are, or an empty text."""

        def gone() -> str | None:
            left = replicas_of(self.name, self.state.services.all())
            if left and holder(self.paths) is None:
                for row in left:
                    self.state.services.remove(row.name, self.by)
                return ""
            return None if left else ""

        return self._until(gone, self.timeout)

    # -- looking -------------------------------------------------------------------------------------------------

    def _ready(self, which: Replica, after: int) -> str | None:
        """An empty text: it is; None: not yet; else why it will not be."""
        row = self._row(which.name)
        if row is None:
            return "its declaration was removed meanwhile"
        if not row.desired:
            return "somebody stopped it meanwhile"
        if row.state is State.ASLEEP or (row.state is State.RUNNING and row.running_digest == row.digest):
            return ""
        kinds = [event.kind for event in self.state.events.all(after, which.name)]
        if "service.failed" in kinds:
            return f"its process could not be started: {self._reason(which.name)}"
        return "its process ended while starting" if kinds.count("service.exited") >= _EXITS else None

    def _warm(self, which: Replica) -> dict[str, Any]:
        from boxplat.releases.warmup import warm

        most = int(self.state.endpoints.settings().get(self.name, {}).get("warmup", 100))
        row = self._row(which.name)
        if row is None or row.port is None or most == 0:
            return {}
        live = [
            found
            for number in self.state.releases.traffic(self.name)
            for found in replicas_of(self.name, self.state.services.all(), number)
            if found.state is State.RUNNING
        ]
        folder = self.paths.state / "predictions" / self.name
        found = warm(f"http://127.0.0.1:{row.port}", folder, live=live[0].url if live else None, most=most)
        self.told(str(found))
        if found.failure:
            raise self._failed("warm-up", which, f"its warm-up failed: {found.failure}")
        return found.as_dict()

    def _taken(self, since: float) -> str | None:
        """An empty text: the gateway sends requests as the state says; else why it refused to, since a moment."""
        taken = gateway.applied(self.state)
        if taken.serves(self.name, self.state.releases.traffic(self.name), self.state.releases.shadow(self.name)):
            return ""
        row = self._row(GATEWAY)
        if row is not None and row.state is State.FAILED:
            return f"the gateway has failed: {self._reason(GATEWAY)}"
        return taken.error if taken.error and taken.at > since else None

    def _until(self, verdict: Callable[[], str | None], seconds: float) -> str:
        """Ask until there is a verdict (an empty text is a good one) or time is up."""
        deadline = time.monotonic() + seconds
        while True:
            found = verdict()
            if found is not None:
                return found
            if holder(self.paths) is None:
                return "the supervisor ended meanwhile: box up --detach"
            if time.monotonic() > deadline:
                return f"not within {seconds:g} s"
            time.sleep(_POLL)

    def _failed(self, step: str, which: Replica, failure: str) -> StepError:
        log = self.paths.service_log(which.name)
        words = bentos.last_words(log)
        return StepError(step, f"{failure}\n{words}" if words else failure, log)

    def _row(self, name: str) -> Wanted | None:
        return next((row for row in self.state.services.wanted() if row.service.name == name), None)

    def _reason(self, name: str) -> str:
        return next((row.reason for row in self.state.services.all() if row.name == name), "")

    def _newest_event(self) -> int:
        newest = self.state.events.all(limit=1)
        return newest[-1].id if newest else 0


def not_done(name: str, what: str, error: StepError, now: str) -> BoxError:
    """The error of a change that came to nothing.

    Args:
        what: the release or the split.
        now: what serves.
    """
    words = {"ready": "did not become ready", "warm-up": "failed its warm-up", "gateway": "did not get its traffic"}
    return BoxError(
        f"{what} of {name} {words[error.step]}; {now}",
        why=error.why,
        fix=f"correct what the log says, then: box deploy {name}",
        log=error.log,
    )
