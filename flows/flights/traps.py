"""Known traps of the data, each a query that must give what is expected. `flows/ingest.py` refuses data that fails."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Trap:
    """A fact that the features rely on: `sql` gives one row, which must equal `expected`."""

    name: str
    sql: str
    expected: tuple[object, ...]


TRAPS = (
    Trap("every flight has one key", "select count(*) - count(distinct (carrier, flight, sched)) from flight", (0,)),
    Trap(
        "both clocks agree: elapsed = scheduled elapsed + arrival delay - departure delay",
        "select count(*) from flight where arr is not null "
        "and (arr - dep - sched_el - arr_delay + dep_delay) % 1440 <> 0",
        (0,),
    ),
    Trap(
        "zones are right: minutes on the ground lie between 5 and 235",
        "select count(*) from flight where arr is not null and (arr - dep - air_time) not between 5 and 235",
        (0,),
    ),
    Trap(
        "a missing tail number is a cancelled flight, so nothing derived from the tail may be a feature",
        "select count(*), count(dep) from flight where tail is null",
        (2512, 0),
    ),
    Trap("labels: cancelled or 15 or more minutes late", "select count(y), sum(y)::int from flight", (335_601, 88_355)),
    Trap(
        "flown without a known arrival keeps its departure and loses its label",
        "select count(*) from flight where dep is not null and y is null",
        (1175,),
    ),
    Trap(
        "weather has one row per airport and hour", "select count(*) - count(distinct (origin, ts)) from weather", (0,)
    ),
    Trap(
        "the weather feed dies on 30 December at 18:00 local for all airports (known 19:00, midnight UTC)",
        "select count(*), min(last), max(last) from (select max(ts) as last from weather group by origin)",
        (3, 23_140_800, 23_140_800),
    ),
)


class TrapError(ValueError):
    """The data breaks a fact that the features rely on."""


def check(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the facts that hold for tables `flight` and `weather`; `TrapError` names all that don't."""
    wrong = []
    for trap in TRAPS:
        found = con.execute(trap.sql).fetchall()[0]
        if found != trap.expected:
            wrong.append(f"{trap.name}: found {found}, expected {trap.expected}")
    if wrong:
        raise TrapError("; ".join(wrong))
    return [trap.name for trap in TRAPS]
