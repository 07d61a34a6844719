"""The flows that start by themselves: what the files say, what the clock says, and what has happened."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.schedules import Watched
from boxplat.runs.schedules import Firing
from boxplat.runs.schedules.files import Files, Found, declare

# The files are looked at so often, and seldomer where that takes long: never more than this share of the time.
_LOOK_EVERY = 2.0
_LOOK_SHARE = 0.01


class Timetable:
    """Starts flows at their times and with their events; `clock` gives seconds since the epoch."""

    def __init__(self, state: StateStore, paths: Paths, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._enabled = config.schedule.enabled
        self._clock = clock
        self._files = Files(paths.root)
        self._firing = Firing(state, paths, config, clock)
        self._found: Mapping[str, Found] = {}
        self._look_at = 0.0
        self._version: tuple[int, int] | None = None
        self._rows: Mapping[str, Watched] = {}
        self._heard = 0
        self._next: dict[str, float] = {}
        self._last = clock()
        if not self._enabled:
            state.schedules.forget()

    def tick(self) -> None:
        """Start whatever is to start now."""
        if not self._enabled:
            return
        if time.monotonic() >= self._look_at:
            self.look()
        now = self._clock()
        version = self._state.database.version()
        if version != self._version or now < self._last:
            self._read(again=now < self._last)
            self._version = version
        self._last = now
        for flow, due in list(self._next.items()):
            if due <= now:
                self._due(flow)

    def look(self) -> None:
        """Read what has changed in the flow files."""
        began = time.monotonic()
        found = self._files.look()
        if found is not self._found:
            declare(self._state, found, self._clock())
            self._found = found
            self._version = None
        ended = time.monotonic()
        self._look_at = ended + max(_LOOK_EVERY, (ended - began) / _LOOK_SHARE)

    def _read(self, again: bool) -> None:
        """Something was written, or the clock was set back (`again`): what has happened, and what is due when."""
        before, self._rows = self._rows, self._working()
        waiting = {flow: row for flow, row in self._rows.items() if self._found[flow].starts.events}
        if waiting:
            self._heard = self._firing.hear(
                max(self._heard, min(row.heard for row in waiting.values())), waiting, self._found
            )
            self._firing.start_ready(waiting, self._found)
            self._rows = self._working()
        self._next = {
            flow: self._next.get(flow, 0.0) if not again and before.get(flow) == row else 0.0
            for flow, row in self._rows.items()
            if self._found[flow].starts.times
        }

    def _working(self) -> dict[str, Watched]:
        rows = self._state.schedules.all()
        return {
            flow: row
            for flow, row in rows.items()
            if row.present and not row.paused and not row.problem and flow in self._found
        }

    def _due(self, flow: str) -> None:
        due = self._firing.due(self._rows[flow], self._found[flow])
        if due is None:
            self._next.pop(flow, None)
        else:
            self._next[flow] = due
