"""The verbs of `Box` that come in groups: `box features …`, `box queue …`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxplat.box import Box
    from boxplat.core.errors import BoxError
    from boxplat.core.model import AccessKey, Endpoint, Run, Schedule, ServiceStatus
    from boxplat.core.sweeps import Sweep as SweepRow
    from boxplat.core.sweeps import Trial
    from boxplat.features.audit import Choice, Report
    from boxplat.features.distribution import ViewShown
    from boxplat.features.offline.compact import Merged
    from boxplat.features.skew import Report as Skew
    from boxplat.releases.keys import NewKey
    from boxplat.releases.live import Live, Meter
    from boxplat.releases.outcomes import verb
    from boxplat.releases.outcomes.store import Added
    from boxplat.releases.traffic import Return
    from boxplat.releases.why import History
    from boxplat.runs.queue import Line
    from boxplat.runs.shares import Occupancy

Told = Callable[[str], None]


def silent(_: str) -> None:
    """The listener of somebody who does not want to hear of progress."""


class Schedules:
    """`box schedule …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def pause(self, flow: str) -> str:
        """Keep a flow (its file or class) from starting by itself; returns its file."""
        from boxplat.runs.schedules import pause

        return pause(self._box.state, self._box.paths, flow, True, self._box.by)

    def resume(self, flow: str) -> str:
        """Let a flow start by itself again, from now on; returns its file."""
        from boxplat.runs.schedules import pause

        return pause(self._box.state, self._box.paths, flow, False, self._box.by)

    def run_now(self, flow: str) -> Run:
        """Queue a run of a flow that starts by itself, besides its times."""
        from boxplat import lifecycle
        from boxplat.runs.schedules import run_now

        lifecycle.must_run(self._box.paths)
        return run_now(self._box.state, self._box.paths, self._box.settings, flow, self._box.by)

    def problems(self) -> list[BoxError]:
        """Why flows that are meant to start by themselves cannot."""
        from boxplat.runs.schedules import refused

        return refused(self._box.paths, self._box.settings)

    def list(self) -> list[Schedule]:
        """The flows that start by themselves, with what is wrong with those that cannot."""
        from boxplat.runs.schedules import listed

        return listed(self._box.state, self._box.paths, self._box.settings)


class Features:
    """`box features …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    @property
    def repo(self) -> Path:
        return self._box.paths.root / self._box.settings.features.repo

    def apply(self, told: Told = silent) -> list[str]:
        """Register what the Feast repository declares; returns the names of its feature views."""
        from boxplat.features import apply

        return apply(self._box.state, self._box.paths, self._box.settings, self._box.by, told)

    def materialize(self, start: str | None = None, end: str | None = None, told: Told = silent) -> dict[str, int]:
        """Copy the newest feature rows (ISO times; no start: since the last time) to the online store."""
        from boxplat.features import materialize

        return materialize(self._box.state, self._box.paths, self._box.settings, start, end, self._box.by, told)

    def get(self, service: str, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Online features of each key, with the status of each and the age of each view."""
        from boxplat.features import get

        return get(self._box.paths, self._box.settings, service, keys)

    def show(self, view: str, features: Sequence[str] = (), sample: int = 100_000) -> ViewShown:
        """A view's features (none: all) and the distribution of each in `sample` rows of the source."""
        from boxplat.features.distribution import show

        return show(self._box.paths, self._box.settings, view, features, sample)

    def freshness(self, now: str | None = None) -> list[dict[str, Any]]:
        """Per view the newest event, its age and whether that is above the life time (`now`: ISO time)."""
        from boxplat.features.freshness import freshness

        return freshness(self._box.paths, self._box.settings, now)

    def audit(self, choice: Choice | None = None, told: Told = silent) -> Report:
        """Is a training set honest? `choice`: what to audit, where not what `[audit]` says."""
        from boxplat.features.audit import Choice, audit

        box = self._box
        return audit(box.state, box.paths, box.settings, choice or Choice(), box.by, told)

    def skew(self, endpoint: str, since: str | None = None, limit: int = 1_000_000, told: Told = silent) -> Skew:
        """The features that an endpoint served, recomputed offline as of their time; `limit`: newest predictions."""
        from boxplat.features.skew import skew

        box = self._box
        return skew(box.state, box.paths, box.settings, endpoint, box.by, since, limit, told)

    def compact(self, view: str | None = None, order: str = "time", told: Told = silent) -> dict[str, Merged]:
        """Merge the part files that were appended to the sources (None: of every view)."""
        from boxplat.features.offline.compact import compact

        return compact(self._box.state, self._box.paths, self._box.settings, view, order, self._box.by, told)

    def list(self) -> dict[str, Any]:
        """Every view with what is declared and how fresh it is (`views`), and what was last done (`last`, `skew`)."""
        from boxplat.features.listing import listing

        return listing(self._box.state, self._box.paths, self._box.settings)


class Keys:
    """`box keys …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def make(self, name: str, scopes: Sequence[str] = ("invoke",)) -> NewKey:
        """Make a key of the gateway; its token is in the answer and nowhere else."""
        from boxplat.releases import keys

        return keys.make(self._box.state, name, scopes, self._box.by)

    def list(self, revoked: bool = False) -> list[AccessKey]:
        """The keys in use; with `revoked` also those of before."""
        return self._box.state.keys.all(revoked)

    def revoke(self, name: str) -> None:
        """End a key; the gateway refuses it when this returns."""
        from boxplat.releases import keys

        keys.revoke(self._box.state, name, self._box.by)


class Queue:
    """`box queue …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def list(self) -> Line:
        """What has a lease, and what waits for one, why and until when."""
        from boxplat.runs.control import queue

        return queue(self._box.state, self._box.paths, self._box.settings)

    def hold(self, run: int) -> bool:
        """Let a run start no further step; False if it is held already."""
        return self._box.state.queue.hold(run, True, self._box.by)

    def release(self, run: int) -> bool:
        """Let a held run go on; False if it is not held."""
        return self._box.state.queue.hold(run, False, self._box.by)

    def machine(self, services: Iterable[ServiceStatus] | None = None, fresh: float = 0.5) -> Occupancy:
        """The same line, and who has what of the cores, the memory and each device.

        Args:
            services: of this box with the memory of each, where they are known already.
            fresh: seconds of age that a measurement may have; an older one is taken again and written down.
        """
        from boxplat.runs.control import queue
        from boxplat.runs.shares import Occupancy, shares

        line = queue(self._box.state, self._box.paths, self._box.settings, fresh)
        return Occupancy(line, shares(line, self._box.status().services if services is None else services))

    def move(self, run: int, before: int | None = None, last: bool = False, step: int = 0) -> int:
        """Give a run another place among those of its priority: before another, the last, else the first. Returns it.

        Args:
            step: -1 or 1: past the nearest queued run before it, or behind it.
        """
        return self._box.state.queue.move(run, before, last, self._box.by, step)

    def cancel(self, run: int) -> Run:
        """Ask for the end of a run."""
        return self._box.cancel(run)


class Sweep:
    """`box sweep …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def start(
        self,
        flow: str,
        params: Mapping[str, object],
        search: Mapping[str, str] | None = None,
        metric: str = "",
        mode: str = "max",
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> SweepRow:
        """Begin a sweep: runs of every combination of the values, or a search.

        Args:
            params: a list or tuple is several values, anything else is one.
            search: ranges to draw from by parameter (`log:1e-5..1e-1`); with them it is a search.
            metric: what the trials are judged by; `mode` is max or min.
            options: of every run (max_workers, tags, extra, priority).
            more: trials, parallel, sampler, pruner, seed; see `boxplat.core.sweeps.Plan`.
        """
        from boxplat import lifecycle
        from boxplat.core.sweeps import Plan
        from boxplat.runs.sweeps import control

        lifecycle.must_run(self._box.paths)
        several = {
            name: [str(one) for one in found] if isinstance(found, list | tuple) else [str(found)]
            for name, found in params.items()
        }
        plan = Plan(space=dict(search or {}), metric=metric, mode=mode, options=dict(options or {}), **more)
        box = self._box
        return control.start(box.state, box.paths, box.settings, flow, several, plan, box.by)

    def values(self, flow: str, params: Mapping[str, str]) -> dict[str, list[str]]:
        """The values of each parameter as written on the command line, with commas between them."""
        from boxplat.runs.sweeps import control

        return control.apart(self._box.paths, flow, params)

    def show(self, number: int) -> list[Trial]:
        """The trials of a sweep by number."""
        return self._box.state.sweeps.trials(self._box.state.sweeps.get(number).id)

    def resume(self, number: int) -> SweepRow:
        """Run what is missing of a sweep."""
        from boxplat import lifecycle
        from boxplat.runs.sweeps import control

        lifecycle.must_run(self._box.paths)
        return control.resume(self._box.state, number, self._box.by)

    def cancel(self, number: int) -> SweepRow:
        """Ask for the end of a sweep and all its runs."""
        from boxplat.runs.sweeps import control

        return control.cancel(self._box.state, number, self._box.by)

    def wait(
        self, number: int, timeout: float | None = None, told: Callable[[Trial], None] = lambda trial: None
    ) -> SweepRow:
        """Until a sweep is over; `told` hears of each trial that has ended."""
        from boxplat.runs.sweeps import control

        return control.wait(self._box.state, self._box.paths, number, timeout, told)


class Endpoints:
    """`box endpoints …`; called, it is every endpoint with its releases and traffic."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def __call__(self) -> tuple[Endpoint, ...]:
        return self._box.status().endpoints

    def history(self, name: str) -> History:
        """What was live when on an endpoint, why, by whom, and on which evidence."""
        from boxplat.releases.why import of_endpoint

        return of_endpoint(self._box.state, self._box.paths, self._box.settings, name)

    def live(self) -> tuple[Live, ...]:
        """What each release has done since the first reading of this box object, or in the last 30 s.

        Call it again and again, about once a second; the first time only shows what is under way.
        """
        return self._meter.read()

    def before(self, name: str, number: int | None = None) -> Return:
        """What `box rollback NAME [NUMBER]` would return to; nothing is changed.

        Raises:
            BoxError: as a rollback that finds nothing to return to (exit code 9), or no such release (9, 2).
        """
        from boxplat.releases.traffic import returns_to

        return returns_to(self._box.state, self._box.settings, name, number)

    @cached_property
    def _meter(self) -> Meter:
        from boxplat.releases.live import Meter

        return Meter(self._box.paths)


class Outcomes:
    """`box outcomes …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def add(self, endpoint: str, source: str) -> Added:
        """Add labels of predictions that were made before; the same file twice changes nothing.

        Args:
            source: a Parquet, CSV or JSON-lines file, or `-` for standard input.
        """
        from boxplat.releases.outcomes import verb

        return verb.add(self._box.paths, self._box.settings, endpoint, source)

    def show(self, endpoint: str) -> verb.Outcomes:
        """How many outcomes there are, and for how many predictions of each release."""
        from boxplat.releases.outcomes import verb

        return verb.show(self._box.paths, self._box.settings, endpoint)

    def list(self, endpoint: str, since: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """The newest predictions that have an outcome, oldest first, with it as it is known now."""
        from boxplat.releases.outcomes import verb

        return verb.rows(self._box.paths, self._box.settings, endpoint, since, limit)
