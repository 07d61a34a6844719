"""Rolling windows as feature rows: one row whenever a window's value changes.

An event enters a window (T - w, T] at its own time `ts` and leaves it at `ts + w`. Keeping running sums of both gives
rows of which the last one at or before T equals the window at T, so one as-of join replaces a difference of two.
Everything summed is an integer in a DOUBLE, hence exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from flights.timetable import as_timestamp


@dataclass(frozen=True)
class Window:
    """Events of one source kept for `minutes` (0: for ever, which makes a state of a +1/-1 source).

    `columns` are (feature, "count" | "mean:<value>" | "sum:<value>").
    """

    source: str
    minutes: int
    columns: tuple[tuple[str, str], ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Columns of the source that must be summed."""
        return tuple(dict.fromkeys(kind.partition(":")[2] for _, kind in self.columns if ":" in kind))


@dataclass(frozen=True)
class Accumulators:
    """Names of the running sums of several windows: `n0`, `delay0`, `n1`, … numbered by window."""

    windows: Sequence[Window]

    @cached_property
    def names(self) -> list[str]:
        """Every running sum, in order."""
        return [f"{what}{i}" for i, window in enumerate(self.windows) for what in ("n", *window.values)]

    def row(self, present: dict[int, int]) -> str:
        """Select list of one change: sign +1 or -1 for the windows in `present`, 0 for the others."""
        parts = []
        for i, window in enumerate(self.windows):
            for what in ("n", *window.values):
                sign = present.get(i, 0)
                parts.append(f"{'-' if sign < 0 else ''}{what} as {what}{i}" if sign else f"0::double as {what}{i}")
        return ", ".join(parts)

    def features(self) -> str:
        """Select list of the finished features."""
        return ", ".join(
            f"{_formula(kind, i)} as {name}" for i, window in enumerate(self.windows) for name, kind in window.columns
        )


def _formula(kind: str, i: int) -> str:
    """SQL of one feature over the running sums of window `i`; a mean over no events is null."""
    what, _, value = kind.partition(":")
    return {"count": f"n{i}::bigint", "sum": f"{value}{i}::bigint", "mean": f"{value}{i} / nullif(n{i}, 0)"}[what]


def _changes(key: str, windows: Sequence[Window], sums: Accumulators) -> list[str]:
    """SELECTs of all changes: one per source for entering events, one per window for leaving ones."""
    selects = []
    for source in dict.fromkeys(window.source for window in windows):
        mine = [i for i, window in enumerate(windows) if window.source == source]
        selects.append(f"select {key}, ts, {sums.row(dict.fromkeys(mine, 1))} from per_{source}")
        selects.extend(
            f"select {key}, ts + {windows[i].minutes}, {sums.row({i: -1})} from per_{source}"
            for i in mine
            if windows[i].minutes
        )
    return selects


def change_rows(keys: Sequence[str], windows: Sequence[Window]) -> str:
    """SQL of the rows of one view: keys, event_timestamp, created_timestamp and the features of all its windows.

    Events of one key and minute are grouped first: an as-of join breaks ties arbitrarily.
    """
    key, sums = ", ".join(keys), Accumulators(windows)
    sources = []
    for source in dict.fromkeys(window.source for window in windows):
        values = dict.fromkeys(value for window in windows if window.source == source for value in window.values)
        totals = "".join(f", sum({value})::double as {value}" for value in values)
        sources.append(f"per_{source} as (select {key}, ts, count(*)::double as n{totals} from {source} group by all)")
    totals = ", ".join(f"sum({name}) as {name}" for name in sums.names)
    running = ", ".join(f"sum({name}) over w as {name}" for name in sums.names)
    return f"""with {", ".join(sources)},
changes as ({" union all ".join(_changes(key, windows, sums))}),
grouped as (select {key}, ts, {totals} from changes group by all),
running as (
  select {key}, ts, {running} from grouped
  window w as (partition by {key} order by ts rows unbounded preceding))
select {key}, {stamps(keys, "ts")}, {sums.features()} from running"""


def stamps(keys: Sequence[str], minutes: str) -> str:
    """Select list of a row's two times: when it was known, and when it was written, 1 to 5 minutes later."""
    late = f"1 + (hash({', '.join(keys)}, {minutes}) % 5)::bigint"
    return f"{as_timestamp(minutes)} as event_timestamp, {as_timestamp(f'{minutes} + {late}')} as created_timestamp"
