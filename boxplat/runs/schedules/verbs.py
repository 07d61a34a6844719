"""The verbs on flows that start by themselves: list, pause, resume, run-now; and publishing events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from boxplat.core.config import Config, StartsConfig
from boxplat.core.errors import BoxError, ExitCode, nearest, not_found
from boxplat.core.model import Run, Schedule
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.schedules import Arrival, Watched
from boxplat.runs.control import start
from boxplat.runs.schedules.files import Files, Found, declare
from boxplat.runs.schedules.publishing import append


def listed(state: StateStore, paths: Paths, config: Config) -> list[Schedule]:
    """Every flow of the project that is meant to start by itself, as its file stands now."""
    rows, come = state.schedules.all(), state.schedules.arrivals()
    found = Files(paths.root).look()
    return [_schedule(one, rows.get(flow), come.get(flow, []), config) for flow, one in found.items() if one.watched]


def refused(paths: Paths, config: Config) -> list[BoxError]:
    """Why flows that are meant to start by themselves cannot, and settings for flows that are not there."""
    found = Files(paths.root).look()
    names = sorted({one.name for one in found.values()})
    unknown = [(f"schedules.{name}", name) for name in config.schedules if name not in names]
    unknown += [
        (f"schedules.{name}.after", before)
        for name, settings in config.schedules.items()
        for before in settings.after
        if before not in names
    ]
    errors = [
        BoxError(
            f"{key} in {paths.config} names no flow{nearest(name, names)}",
            why=f"no flow of this project is called {name!r}; there are: {', '.join(names) or 'none'}",
            fix=f"correct it in {paths.config}, then: box schedule list",
            code=ExitCode.USAGE,
        )
        for key, name in unknown
    ]
    return [*errors, *(one.problem for one in found.values() if one.problem)]


def pause(state: StateStore, paths: Paths, flow: str, paused: bool, by: str) -> str:
    """Keep a flow from starting by itself, or let it again; what was due meanwhile is not made up for.

    Returns:
        its file.

    Raises:
        BoxError: no such flow, or it does not start by itself (exit code 9).
    """
    found = Files(paths.root).look()
    one = _named(found, flow)
    declare(state, found, time.time())
    if state.schedules.all()[one.flow].paused != paused:
        state.schedules.pause(one.flow, paused, time.time(), by)
    return one.flow


def run_now(state: StateStore, paths: Paths, config: Config, flow: str, by: str) -> Run:
    """Queue a run of a flow that starts by itself, now; its times stay as they are.

    Raises:
        BoxError: as `pause`, or as a run of it by hand.
    """
    return start(state, paths, config, _named(Files(paths.root).look(), flow).flow, {}, {}, by)


def publish(state: StateStore, paths: Paths, name: str, payload: Mapping[str, Any], by: str) -> list[str]:
    """Publish an event.

    Returns:
        the names of the flows that wait for it.

    Raises:
        BoxError: the name is none, or boxplat's own; the payload is too large (exit code 2).
    """
    refusal = append(state, name, payload, by)
    if refusal is not None:
        raise refusal
    return [one.name for one in Files(paths.root).look().values() if name in one.awaited]


def _named(found: Mapping[str, Found], flow: str) -> Found:
    watched = [one for one in found.values() if one.watched]
    for one in watched:
        if flow.removeprefix("./") in (one.flow, one.name):
            return one
    known = [word for one in watched for word in (one.flow, one.name)]
    raise not_found("flow that starts by itself", flow, known, "box schedule list   (see docs/schedules.md)")


def _schedule(found: Found, row: Watched | None, come: list[Arrival], config: Config) -> Schedule:
    settings = config.schedules.get(found.name, StartsConfig())
    state = "refused" if found.problem else "paused" if row and row.paused else "on"
    if not config.schedule.enabled:
        state = "off"
    times = found.starts.times
    return Schedule(
        flow=found.flow,
        name=found.name,
        state=state,
        cron=times.text if times else "",
        zone=times.zone if times else "",
        events=tuple(found.awaited),
        come=tuple(one.name for one in come),
        next=times.next(time.time()) if times and state == "on" else None,
        last=row.due if row else None,
        run=row.run_id if row else None,
        missed=settings.missed,
        overlap=settings.overlap,
        after=settings.after,
        problem=found.problem.as_dict() if found.problem else None,
    )
