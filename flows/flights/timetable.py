"""Flights and weather on one clock: integer minutes since the epoch, UTC."""

from __future__ import annotations

import duckdb

# Clock columns are local HHMM: departure on New York's clock, arrival on the destination's.
# off_ny comes from the two hour columns; off_dest from airports.csv, -4 h for the four airports that it lacks.
FLIGHT = """
create table flight as
with clocks as (
  select raw.*, tz, dst,
    (epoch(time_hour) / 60)::bigint + minute            as sched,
    hour - extract(hour from time_hour)::int            as ny0,
    (dep_time // 100) * 60 + dep_time % 100             as dep_clock,
    (arr_time // 100) * 60 + arr_time % 100             as arr_clock,
    (sched_dep_time // 100) * 60 + sched_dep_time % 100 as mins,
    (sched_arr_time // 100) * 60 + sched_arr_time % 100 as sched_arr_clock
  from raw left join airport on dest = faa),
zoned as (select *, case when ny0 > 0 then ny0 - 24 else ny0 end as ny from clocks),
shifted as (
  select *, case when tz is null then -4 when dst = 'A' then tz + ny + 5 else tz end - ny as shift from zoned),
timed as (
  select *, sched + dep_delay as dep,
    (arr_clock - dep_clock - 60 * shift + 2880) % 1440  as elapsed,
    (sched_arr_clock - mins - 60 * shift + 2880) % 1440 as sched_el
  from shifted)
select id, origin, dest, carrier, flight, tailnum as tail, 'nyc' as network, month, day, sched, mins, distance,
  sched_el, air_time,
  isodow(make_date(2013, month::int, day::int))         as dow,
  dep_delay, dep, case when arr_delay is not null then dep + elapsed end as arr, arr_delay,
  case when dep_time is null then 1 when arr_delay is not null then (arr_delay >= 15)::int end as y
from timed
"""

# A row stamped 10:00 can hold facts from 10:51 (it keeps the maximum precipitation up to minute 51),
# so it counts as known one hour after its stamp. Hundredths of an inch keep the running sums exact.
WEATHER = """
create table weather as
select origin, (epoch(time_hour) / 60)::bigint + 60 as ts,
  temp, dewp, humid, wind_speed, precip, pressure, visib,
  wind_speed * sin(radians(wind_dir)) as wind_u, wind_speed * cos(radians(wind_dir)) as wind_v,
  round(100 * coalesce(precip, 0))::bigint as precip_hundredths
from raw_weather
"""


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create tables `flight` (one row per scheduled flight) and `weather` from those of `sources.load`.

    `flight`: `sched`, `dep`, `arr` in minutes UTC (null when not flown or not known), `mins` local minute of the day,
    `sched_el` scheduled minutes gate to gate, `y` 1 when cancelled or 15 or more minutes late, null when unknown.
    `weather`: `ts` is when the row was known, not its stamp.
    """
    con.execute(FLIGHT)
    con.execute(WEATHER)


def as_timestamp(minutes: str) -> str:
    """SQL that turns minutes since the epoch into a TIMESTAMPTZ."""
    return f"make_timestamptz(({minutes})::bigint * 60000000)"
