"""What happened and when it became known: the event sources behind every feature."""

from __future__ import annotations

import duckdb

NO_SHOW_AFTER = 180
"""Minutes after the scheduled time when a flight that has not departed counts as missing."""

# Asking only "departed by now?" makes a departure still to come and a cancellation look alike, as they should.
SOURCES = {
    "departures": "select *, dep as ts, dep_delay as delay, (dep_delay >= 15)::int as late from flight "
    "where dep is not null",
    "arrivals": "select *, arr as ts, arr_delay as delay from flight where arr is not null",
    "no_shows": f"select *, sched + {NO_SHOW_AFTER} as ts from flight "
    f"where dep is null or dep > sched + {NO_SHOW_AFTER}",
    "outcomes": "select * exclude (late), 1 as late from (select *, 0 as late from no_shows) "
    f"union all by name select *, arr as ts, (arr_delay >= 15)::int as late from flight "
    f"where arr is not null and dep <= sched + {NO_SHOW_AFTER}",
    "backlog": "select *, sched as ts, 1 as step from flight union all by name "
    f"select *, least(greatest(coalesce(dep, sched + {NO_SHOW_AFTER}), sched), sched + {NO_SHOW_AFTER}) as ts, "
    "-1 as step from flight",
}


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create one view per source over table `flight`; `ts` is when the fact became known, in minutes UTC."""
    for name, sql in SOURCES.items():
        con.execute(f"create view {name} as {sql}")
