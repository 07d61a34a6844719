"""Starting flows at their times and with their events, each time and each event once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from boxplat.adapters.schedules import Awaited
from boxplat.core.config import Config, StartsConfig
from boxplat.core.errors import BoxError
from boxplat.core.model import Event, Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.database import Transaction
from boxplat.core.state.schedules import Arrival, DecidedError, Watched, decide, use
from boxplat.runs.control import start
from boxplat.runs.schedules.ancestry import circle
from boxplat.runs.schedules.files import Found
from boxplat.runs.schedules.names import reserved, told

BY = "schedule"
# A time that is longer ago than this was missed; Argo's clock and ours look more often.
LATE = 60.0
# At most so many missed times of a flow are made up for, the newest.
MOST = 100
_EVENTS_AT_ONCE = 500


class Firing:
    """What the supervisor does about the flows that start by themselves; `clock` gives seconds since the epoch."""

    def __init__(self, state: StateStore, paths: Paths, config: Config, clock: Callable[[], float]) -> None:
        self._state = state
        self._paths = paths
        self._config = config
        self._clock = clock

    # -- times ---------------------------------------------------------------------------------------------------

    def due(self, row: Watched, found: Found) -> float | None:
        """Do what is due for a flow; the time at which something is due next."""
        cron, now = found.starts.times, self._clock()
        if cron is None:
            return None
        if row.counted > now:
            # The clock was set back. What was decided stays so; what was not is due when its time comes again.
            self._state.schedules.count(row.flow, now)
            return cron.next(now)
        settings = self._settings(row)
        newest = cron.last(now)
        if newest is not None and newest > row.counted:
            if settings.missed == "all":
                return self._all(row, found, settings, now)
            late = settings.missed == "skip" and now - newest >= LATE
            self._at(row, settings, newest, now, "the box did not run then" if late else "")
        return cron.next(now)

    def _all(self, row: Watched, found: Found, settings: StartsConfig, now: float) -> float | None:
        """Start the oldest that was missed; the others follow, one after the other where they may not overlap."""
        cron = found.starts.times
        assert cron is not None
        dues = cron.latest(row.counted, now, MOST)
        if not settings.overlap and self._active(row):
            return now
        if dues:
            self._at(row, settings, dues[0], now)
        return cron.next(now) if len(dues) < 2 else now

    def _at(self, row: Watched, settings: StartsConfig, due: float, now: float, why: str = "") -> None:
        """Decide a time, unless it was decided before; with a reason it starts nothing."""
        if self._state.schedules.decided(row.flow, [due]):
            self._state.schedules.count(row.flow, due)
            return
        why = why or self._obstacle(row, settings)
        if why:
            self._state.schedules.skip(row.flow, due, now, why)
            return
        self._start(
            row,
            {},
            {"due": due},
            lambda tx, run_id: decide(tx, row.flow, due, now, run_id),
            lambda error: self._state.schedules.skip(row.flow, due, now, error),
        )

    # -- events --------------------------------------------------------------------------------------------------

    def hear(self, after: int, rows: Mapping[str, Watched], found: Mapping[str, Found]) -> int:
        """Keep what has come since the event `after` for the flows that wait for it; the newest event looked at.

        Where runs may overlap, each event starts its own.
        """
        events = self._state.events.following(after, _EVENTS_AT_ONCE)
        for event in events:
            names, payload = told(event, self._state.runs.get)
            waiting = [row for row in rows.values() if names and event.id > row.heard and self._waits(row, event)]
            arrivals = [
                _arrival(row, name, event, payload)
                for row in waiting
                for name in found[row.flow].awaited
                if name in names
            ]
            if arrivals:
                self._state.schedules.hear(event.id, arrivals)
                self._start_ready(rows, found, overlapping=True)
        if events:
            self._state.schedules.hear(events[-1].id, ())
        return events[-1].id if events else after

    def start_ready(self, rows: Mapping[str, Watched], found: Mapping[str, Found]) -> None:
        """Start the flows for which everything has come that they wait for."""
        self._start_ready(rows, found, overlapping=False)

    def _waits(self, row: Watched, event: Event) -> bool:
        return self._settings(row).missed != "skip" or self._clock() - event.at < LATE

    def _start_ready(self, rows: Mapping[str, Watched], found: Mapping[str, Found], overlapping: bool) -> None:
        for flow, arrivals in self._state.schedules.arrivals().items():
            row, one = rows.get(flow), found.get(flow)
            if row is None or one is None:
                continue
            settings = self._settings(row)
            awaited = one.awaited
            reset = one.starts.reset.last(self._clock()) if one.starts.reset else None
            come = {arrival.name for arrival in arrivals if reset is None or arrival.at > reset}
            if awaited.keys() == come and settings.overlap >= overlapping:
                self._with(row, settings, awaited, arrivals)

    def _with(
        self, row: Watched, settings: StartsConfig, awaited: Mapping[str, Awaited], arrivals: Sequence[Arrival]
    ) -> None:
        if not settings.overlap and self._active(row):
            return  # when it is over, the newest of each counts
        why = self._obstacle(row, settings) or circle(self._state, row.name, arrivals)
        if why:
            self._state.schedules.drop(row.flow, why)
            return
        params: dict[str, str] = {}
        for one in arrivals:
            params |= _mapped(awaited[one.name], one.payload)
        trigger = [_triggered(self._state, one) for one in arrivals]
        causes = sorted({one.run_id for one in arrivals if one.run_id is not None})
        self._start(
            row,
            params,
            {"trigger": trigger, "causes": causes},
            lambda tx, run_id: use(tx, arrivals, self._clock(), run_id),
            lambda error: self._state.schedules.drop(row.flow, error),
        )

    # -- both ----------------------------------------------------------------------------------------------------

    def _start(
        self,
        row: Watched,
        params: Mapping[str, str],
        options: Mapping[str, Any],
        also: Callable[[Transaction, int], None],
        refused: Callable[[str], None],
    ) -> None:
        try:
            start(
                self._state,
                self._paths,
                self._config,
                row.flow,
                params,
                {**options, "priority": "batch"},
                BY,
                also=also,
            )
        except DecidedError:
            return  # another supervisor, or a newer event
        except BoxError as error:
            refused(f"{error.what}: {error.why}")
        except OSError as error:
            # A file of the flow's that cannot be read must not keep the other flows from starting.
            refused(f"it cannot be read: {error}")

    def _settings(self, row: Watched) -> StartsConfig:
        return self._config.schedules.get(row.name, StartsConfig())

    def _active(self, row: Watched) -> list[Run]:
        return [run for run in self._state.runs.active() if run.flow == row.flow]

    def _obstacle(self, row: Watched, settings: StartsConfig) -> str:
        """Why a flow must not start now; empty where it may."""
        active = [] if settings.overlap else self._active(row)
        if active:
            return f"run {active[0].id} of it is not over"
        for name in settings.after:
            if not self._state.runs.latest(name, RunState.SUCCEEDED):
                return f"{name} has not succeeded in this box yet"
        return ""


def _arrival(row: Watched, name: str, event: Event, payload: Mapping[str, Any]) -> Arrival:
    ended = event.kind.startswith("run.")
    run = payload.get("run") if ended else event.data.get("in_run")
    return Arrival(row.flow, name, event.id, event.at, payload, str(payload["pathspec"]) if ended else "", run)


def _mapped(awaited: Awaited, payload: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that a payload sets; what it lacks keeps its default, as on Argo.

    What boxplat's own events say is not meant for parameters that happen to be called so.
    """
    if awaited.same and reserved(awaited.name):
        return {}
    values = {parameter: payload.get(key) for parameter, key in awaited.parameters.items()}
    return {
        parameter: value if isinstance(value, str) else json.dumps(value)
        for parameter, value in values.items()
        if value is not None
    }


def _triggered(state: StateStore, arrival: Arrival) -> dict[str, Any]:
    """What Metaflow's `current.trigger` is made of."""
    if not arrival.pathspec:
        return {"name": arrival.name, "id": str(arrival.event), "timestamp": int(arrival.at), "type": "event"}
    tasks = state.runs.tasks(arrival.run_id) if arrival.run_id is not None else []
    last = f"{tasks[-1].step}/{tasks[-1].task}" if tasks else "end/0"
    identity = f"{arrival.pathspec}/{last}"
    return {"name": arrival.name, "id": identity, "timestamp": int(arrival.at), "type": "run"}
