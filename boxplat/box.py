"""`Box`: one project folder, its settings and its state. Every verb of the command line is a method here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config, load
from boxplat.core.environment import user
from boxplat.core.errors import BoxError
from boxplat.core.model import Check, Event, Gpu, Release, Run, ServiceStatus, Snapshot, Supervisor, Task
from boxplat.core.paths import Paths, find_root
from boxplat.core.sweeps import Sweep as SweepRow
from boxplat.groups import Endpoints, Features, Keys, Outcomes, Queue, Schedules, Sweep, Told, silent
from boxplat.groups_export import Export
from boxplat.groups_models import Models
from boxplat.history import History
from boxplat.housekeeping import Housekeeping
from boxplat.lifting import Lifting

if TYPE_CHECKING:
    from boxplat.core.state import StateStore
    from boxplat.core.state.changes import Change
    from boxplat.releases.comparison.compare import Comparison
    from boxplat.releases.why import Answer
    from boxplat.runs.profiles.report import Bill, StepUse
    from boxplat.snapshot import Snapshots


class Box(Housekeeping, Lifting):
    """A project folder and everything that runs for it.

    Args:
        root: the project folder or one below it.
        by: who acts, for the audit log; the user's name when not given.

    Raises:
        BoxError: no project there (exit code 3).
    """

    def __init__(
        self, root: str | Path = ".", by: str | None = None, flags: Mapping[str, object] | None = None
    ) -> None:
        self.paths = Paths(find_root(Path(root)))
        self._flags = flags
        self._by = by or f"{user()}/sdk"
        self.features = Features(self)
        self.models = Models(self)
        self.keys = Keys(self)
        self.schedule = Schedules(self)
        self.queue = Queue(self)
        self.sweep = Sweep(self)
        self.history = History(self)
        self.endpoints = Endpoints(self)
        self.outcomes = Outcomes(self)
        self.export = Export(self)

    @cached_property
    def settings(self) -> Config:
        """The settings (read at the first use: what only looks or stops works with a broken file too)."""
        return load(self.paths.config, os.environ, self._flags)

    @cached_property
    def state(self) -> StateStore:
        """Desired and live state (opened at the first use)."""
        from boxplat.core.state import StateStore

        return StateStore.open(self.paths)

    @cached_property
    def _snapshots(self) -> Snapshots:
        from boxplat.snapshot import Snapshots

        return Snapshots(self.paths, self.settings, self.state)

    @property
    def by(self) -> str:
        return self._by

    @property
    def root(self) -> Path:
        return self.paths.root

    # -- life-cycle ----------------------------------------------------------------------------------------------

    @staticmethod
    def init(directory: str | Path, empty: bool = False) -> list[Path]:
        """Make a new project (the flights sample, or an empty one) and return the files written.

        Raises:
            BoxError: the folder holds something already (exit code 2) or cannot be written (4).
        """
        from boxplat.template import create

        return create(Path(directory), empty)

    def up(self, names: Sequence[str] = (), detach: bool = False) -> Supervisor:
        """Start the box (or the named services of it). Not detached, it returns when the box is down again."""
        from boxplat import lifecycle

        return lifecycle.up(self.paths, self.settings, self.state, names, detach, self.by)

    def down(self, names: Sequence[str] = (), timeout: float = 60.0) -> list[int]:
        """Stop the box (or the named services); returns pids that a dead supervisor had left and were ended."""
        from boxplat import lifecycle

        if names:
            lifecycle.stop(self.state, names, self.by)
            return []
        try:
            state = self.state
        except BoxError:
            # A damaged state file must not keep the processes alive.
            return lifecycle.down(self.paths, None, timeout)
        return lifecycle.down(self.paths, state, timeout)

    def restart(self, name: str) -> None:
        """Replace a service's process by a new one; its listening socket stays open meanwhile."""
        from boxplat import lifecycle

        lifecycle.must_run(self.paths)
        lifecycle.restart(self.state, name, self.by)

    def wait(
        self, names: Sequence[str] = (), timeout: float = 120.0, told: Callable[[ServiceStatus], None] | None = None
    ) -> list[ServiceStatus]:
        """Until the named services (none: all that are wanted) are healthy.

        Args:
            timeout: seconds.
            told: hears of each change of state.
        """
        from boxplat import lifecycle

        return lifecycle.wait(self.paths, self.state, names, timeout, told or (lambda status: None))

    def status(self) -> Snapshot:
        """Everything as it is now, read in one transaction."""
        return self._snapshots.take()

    snapshot = status

    def logs(
        self, name: str, follow: bool = False, step: str | None = None, lines: int = 100, wait: float = 0.2
    ) -> Iterator[str]:
        """Lines of a service's or a run's log (`tracking`, `supervisor`, `7`), optionally as they come."""
        from boxplat.logbook import lines_of

        return lines_of(self.paths, self.state, name, follow, step, lines, wait)

    def log_path(self, name: str) -> Path:
        """The log file of a service or run."""
        from boxplat.logbook import path_of

        return path_of(self.paths, self.state, name)

    def doctor(self) -> list[Check]:
        """What is wrong with this machine or project, each with the command that mends it."""
        from boxplat.doctor import checks

        return checks(self.paths, self.settings)

    def config(self) -> dict[str, tuple[object, str]]:
        """Every setting as `section.key` → (value, where it comes from)."""
        return self.settings.flat()

    # -- work ----------------------------------------------------------------------------------------------------

    def run(
        self,
        flow: str,
        params: Mapping[str, str] | None = None,
        resume: int | None = None,
        max_workers: int | None = None,
        tags: Sequence[str] = (),
        extra: Sequence[str] = (),
        once: bool = False,
        priority: str | None = None,
        cold: bool = False,
    ) -> Run:
        """Queue a flow; the supervisor starts it.

        Args:
            flow: its file, relative to the project or the working directory.
            params: the flow's parameters.
            resume: number of an earlier run whose finished steps are taken over.
            extra: further options for Metaflow's `run`.
            once: queue nothing if the same code with the same parameters has succeeded before; returns that run.
            priority: interactive (the default) or batch, which waits behind all that is interactive.
            cold: start every task in a new process, as Metaflow does, also where it could be forked.
        """
        from boxplat import lifecycle
        from boxplat.runs import start

        lifecycle.must_run(self.paths)
        options = {
            "resume": resume,
            "max_workers": max_workers,
            "tags": list(tags),
            "extra": list(extra),
            "once": once,
            "priority": priority,
            "cold": True if cold or not self.settings.run.warm else None,
        }
        return start(self.state, self.paths, self.settings, flow, params or {}, options, self.by)

    def wait_run(self, run: int, timeout: float | None = None) -> Run:
        """Until a run is over."""
        from boxplat.runs import wait

        return wait(self.state, self.paths, run, timeout)

    def runs(self, limit: int = 20) -> list[Run]:
        """The newest runs first."""
        return self.state.runs.all(limit)

    def sweeps(self, limit: int = 20) -> list[SweepRow]:
        """The newest sweeps first."""
        return self.state.sweeps.all(limit)

    def tasks(self, run: int) -> tuple[Task, ...]:
        """The tasks of a run in the order in which they started."""
        return tuple(self.state.runs.tasks(run))

    def usage(self, run: int) -> tuple[StepUse, ...]:
        """What a run used by step, beside what its steps asked for and what they should ask for."""
        from boxplat.runs.profiles.report import use

        return use(self.state, self.state.runs.get(run), self.settings.rates)

    def cost(self, since: str = "7d", by: str = "run") -> Bill:
        """What runs cost by the rates in `boxplat.toml`.

        Args:
            since: `30m`, `7d`, or an ISO time.
            by: run or flow.
        """
        from boxplat.runs.profiles.report import bill

        return bill(self.state, self.settings.rates, since, by)

    def cancel(self, run: int) -> Run:
        """Ask for the end of a run."""
        from boxplat.runs import cancel

        return cancel(self.state, run, self.by)

    def gpu(self) -> tuple[tuple[Gpu, ...], str]:
        """The NVIDIA devices, and a note when there are none."""
        from boxplat.adapters import gpu

        return gpu.read()

    # -- serving -------------------------------------------------------------------------------------------------

    def deploy(
        self, name: str, timeout: float = 180.0, told: Told = silent, version: str = "", percent: int = 100
    ) -> Release:
        """Make an endpoint's next release and bring it live; those before it serve on if that fails.

        Args:
            version: of the model, a number or an alias (empty: the endpoint's alias).
            percent: of the requests that it gets.
        """
        from boxplat import lifecycle
        from boxplat.releases.deployment import deploy

        lifecycle.must_run(self.paths)
        return deploy(
            self.state, self.paths, self.settings, name, self.by, timeout, told, version=version, percent=percent
        )

    def undeploy(self, name: str) -> None:
        """Stop an endpoint; its releases stay on record."""
        from boxplat.releases.deployment import undeploy

        undeploy(self.state, self.paths, self.settings, name, self.by)

    def split(
        self,
        name: str,
        weights: Mapping[int, int],
        shadow: int | None = None,
        timeout: float = 180.0,
        told: Told = silent,
        reason: str = "",
    ) -> Change:
        """Divide an endpoint's requests among releases (percent by number).

        Args:
            shadow: a release that gets a copy of each request.
        """
        from boxplat import lifecycle
        from boxplat.releases.traffic import split

        lifecycle.must_run(self.paths)
        return split(
            self.state, self.paths, self.settings, name, weights, self.by, shadow, timeout, told, reason=reason
        )

    def rollback(
        self,
        name: str,
        number: int | None = None,
        timeout: float = 180.0,
        told: Told = silent,
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
    ) -> Change:
        """Return an endpoint to what was really live before, or to a release that once was; its alias follows."""
        from boxplat import lifecycle
        from boxplat.releases.traffic import rollback

        lifecycle.must_run(self.paths)
        return rollback(self.state, self.paths, self.settings, name, self.by, number, timeout, told, reason, evidence)

    def why(self, subject: str) -> Answer:
        """What a prediction, a release, a model version or a run was made of, and what it went into.

        Args:
            subject: `delay@7`, `models:/delay/3`, a run's number, a prediction's id…
        """
        from boxplat.releases.why import why

        return why(self.state, self.paths, self.settings, subject)

    def predict(self, name: str, data: Any, timeout: float = 60.0, route: str | None = None) -> Any:
        """Ask an endpoint: `data` is the request's JSON, as text or as an object.

        Args:
            route: which API of the service, where it has several.
        """
        from boxplat.releases.prediction import predict

        return predict(self.state, self.paths, self.settings, name, data, timeout, route)

    def predictions(
        self,
        name: str,
        since: str | None = None,
        where: str | None = None,
        limit: int = 20,
        sql: str | None = None,
    ) -> list[dict[str, Any]]:
        """The newest predictions in an endpoint's log, oldest first; or the rows of a statement over the log.

        Args:
            since: `30m`, `1h`, `2d`, or an ISO time.
            where: a condition in SQL over the log's columns.
            sql: a statement over the views `predictions` and `requests`.
        """
        from boxplat.serving.log.asking import predictions

        return predictions(self.paths, list(self.settings.endpoints), name, since, where, limit, sql)

    def compare(self, name: str, pair: tuple[int, int] | None = None, since: str | None = None) -> Comparison:
        """Two releases of an endpoint beside each other on live outcomes; valid however often it is asked.

        Args:
            pair: their numbers; by default those that were last beside each other.
            since: `30m`, `1h`, `2d`, or an ISO time; by default since both had traffic.
        """
        from boxplat.releases.comparison.compare import compare
        from boxplat.serving.log.asking import moment

        begin = moment(since).timestamp() if since else None
        return compare(self.state, self.paths, self.settings, name, pair, begin)

    # -- watch ---------------------------------------------------------------------------------------------------

    def events(
        self,
        after: int = 0,
        subject: str | None = None,
        limit: int = 200,
        before: int | None = None,
        kind: str | None = None,
        match: str = "",
    ) -> list[Event]:
        """The newest `limit` events of the audit log between two ids, oldest first.

        Args:
            kind: `run.failed`, or `run` for every kind that begins with `run.`.
            match: a regular expression over kind, subject and data; `!` in front turns it round.
        """
        return self.state.events.all(after, subject, limit, before, kind, match)

    def event_since(self, moment: float) -> int:
        """The id of the first event at or after a moment (seconds since the epoch)."""
        return self.state.events.since(moment)

    def publish(self, name: str, payload: Mapping[str, Any] | None = None) -> list[str]:
        """Publish an event for the flows with `@trigger(event=name)`; returns the names of those that wait for it."""
        from boxplat.runs.schedules import publish

        return publish(self.state, self.paths, name, payload or {}, self.by)
