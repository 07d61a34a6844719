"""The feature views: keys, life time, and the SQL of their rows. `feature_repo/` declares the same to Feast."""

from __future__ import annotations

from dataclasses import dataclass

from flights.windows import Window, change_rows, stamps

HOUR, DAY = 60, 24 * 60


@dataclass(frozen=True)
class View:
    """One Feast feature view. `ttl` in minutes: a row older than that, seen from T, counts as missing.

    Where windows are concerned `ttl` is at least the longest of them, so that it voids only windows that are empty
    anyway: it bites when a feed is dead and never changes a value while the feed lives.
    """

    name: str
    keys: tuple[str, ...]
    ttl: int
    columns: tuple[str, ...]
    sql: str


def _windows(name: str, keys: tuple[str, ...], ttl: int, *windows: Window) -> View:
    columns = tuple(column for window in windows for column, _ in window.columns)
    return View(name, keys, ttl, columns, change_rows(keys, windows))


def _mean_delay(source: str, minutes: int, column: str) -> Window:
    return Window(source, minutes, ((column, "mean:delay"),))


def _origin_departures(minutes: int) -> Window:
    kinds = (("delay", "mean:delay"), ("late", "mean:late"), ("departures", "count"))
    return Window("departures", minutes, tuple((f"origin_{what}_{minutes}", kind) for what, kind in kinds))


def _late_share(days: int, column: str, *more: tuple[str, str]) -> Window:
    return Window("outcomes", days * DAY, ((column, "mean:late"), *more))


LEG = ("carrier", "flight", "origin", "dest")

# The plan may look past T: the schedule is known. Event time is the day before, when a flight appears online.
_SCHEDULE = f"""with plan as (select origin, sched as ts, count(*) as n from flight group by all),
cumulated as (select origin, ts, sum(n) over (partition by origin order by ts)::bigint as n from plan)
select f.carrier, f.flight, f.origin, f.dest, f.sched, {stamps(("f.id",), f"f.sched - {DAY}")},
  f.mins, f.dow, f.distance, f.sched_el,
  coalesce(b.n, 0) - coalesce(a.n, 0) as ahead, coalesce(d.n, 0) - coalesce(c.n, 0) as density
from flight f
asof left join cumulated a on f.origin = a.origin and f.sched - 60 >= a.ts
asof left join cumulated b on f.origin = b.origin and f.sched      >= b.ts
asof left join cumulated c on f.origin = c.origin and f.sched - 30 >= c.ts
asof left join cumulated d on f.origin = d.origin and f.sched + 30 >= d.ts"""

_REPORT = ("weather_known_at", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib", "wind_u", "wind_v")

# Six-hour sums are taken at the report, not at T: they expire with it when the feed dies,
# instead of reading 0 like calm weather.
_WEATHER = f"""with cumulated as (
  select *, sum(precip_hundredths) over w as precip_6h
  from weather window w as (partition by origin order by ts range between 359 preceding and current row))
select w.origin, {stamps(("w.origin",), "w.ts")}, w.ts as weather_known_at,
  w.temp, w.dewp, w.humid, w.wind_speed, w.precip, w.pressure, w.visib, w.wind_u, w.wind_v,
  w.precip_6h::bigint as precip_6h, w.pressure - p.pressure as dpress
from cumulated w asof left join weather p on w.origin = p.origin and w.ts - 360 >= p.ts"""

_TAIL = f"""select tail, {stamps(("tail",), "arr")}, max(arr_delay) as tail_delay, max(distance) as tail_distance
from flight where arr is not null and tail is not null group by tail, arr"""

VIEWS = (
    View(
        "flight_schedule",
        (*LEG, "sched"),
        2 * DAY,
        ("mins", "dow", "distance", "sched_el", "ahead", "density"),
        _SCHEDULE,
    ),
    View(
        "origin_weather",
        ("origin",),
        3 * HOUR,
        (*_REPORT, "precip_6h", "dpress"),
        _WEATHER,
    ),
    _windows("origin_ops", ("origin",), 6 * HOUR, *map(_origin_departures, (60, 120, 360))),
    _windows(
        "origin_carrier_ops",
        ("origin", "carrier"),
        DAY,
        Window(
            "departures", 180, (("origin_carrier_delay_180", "mean:delay"), ("origin_carrier_departures_180", "count"))
        ),
    ),
    _windows(
        "carrier_ops",
        ("carrier",),
        DAY,
        _mean_delay("departures", 180, "carrier_delay_180"),
        Window("no_shows", 360, (("carrier_no_shows_360", "count"),)),
    ),
    _windows("dest_ops", ("dest",), DAY, _mean_delay("departures", 180, "dest_delay_180")),
    _windows("route_ops", ("origin", "dest"), DAY, _mean_delay("departures", 720, "route_delay_720")),
    _windows("network_ops", ("network",), 6 * HOUR, _mean_delay("departures", 120, "network_delay_120")),
    _windows("origin_arrivals", ("origin",), 6 * HOUR, _mean_delay("arrivals", 240, "origin_arrival_delay_240")),
    _windows("carrier_arrivals", ("carrier",), DAY, _mean_delay("arrivals", 240, "carrier_arrival_delay_240")),
    _windows("dest_arrivals", ("dest",), DAY, _mean_delay("arrivals", 240, "dest_arrival_delay_240")),
    _windows(
        "origin_history", ("origin",), 14 * DAY, _late_share(1, "origin_late_1d"), _late_share(14, "origin_late_14d")
    ),
    _windows(
        "carrier_history",
        ("carrier",),
        14 * DAY,
        _late_share(1, "carrier_late_1d"),
        _late_share(14, "carrier_late_14d"),
    ),
    _windows("route_history", ("origin", "dest"), 14 * DAY, _late_share(14, "route_late_14d")),
    _windows("flight_history", LEG, 28 * DAY, _late_share(28, "flight_late_28d", ("flight_outcomes_28d", "count"))),
    _windows(
        "origin_backlog",
        ("origin",),
        6 * HOUR,
        Window("backlog", 0, (("origin_waiting", "sum:step"),)),
        Window("no_shows", 360, (("origin_no_shows_360", "count"),)),
    ),
    _windows(
        "origin_carrier_backlog",
        ("origin", "carrier"),
        DAY,
        Window("backlog", 0, (("origin_carrier_waiting", "sum:step"),)),
    ),
    _windows(
        "dest_backlog",
        ("dest",),
        DAY,
        Window("backlog", 0, (("dest_waiting", "sum:step"),)),
        Window("no_shows", 720, (("dest_no_shows_720", "count"),)),
    ),
    View("tail_last", ("tail",), 7 * DAY, ("tail_delay", "tail_distance"), _TAIL),
)

SERVICE = "delay_v1"
SERVED = tuple(view for view in VIEWS if view.name != "tail_last")
"""Views of the feature service `delay_v1` (set A): the recorded tail is the aircraft that flew, which is hindsight."""

COUNTS = tuple(
    column
    for view in SERVED
    for column in view.columns
    if column.endswith("_waiting") or "_departures_" in column or "_no_shows_" in column or "_outcomes_" in column
)
"""Columns that are 0, not null, when nothing happened."""
