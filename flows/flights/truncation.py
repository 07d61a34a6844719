"""The truncation check: hide everything after a flight's T, rebuild its features, and compare with the full build.

    PYTHONPATH=flows python -m flights.truncation [--flights 20] [--seed 0]

Run after `flows/features.py`. Equality must be exact. Two positive controls read past T on purpose (weather as of the
departure, the origin's operations half an hour late) and must differ, or the check would prove nothing. What it cannot
see is hindsight in static columns: the schedule as it was finally flown.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from flights import events, sources
from flights.paths import feature_folder, quoted, raw_folder
from flights.training_set import LEAD, NUMERIC, TARGETS, as_of_join, create
from flights.views import DAY, SERVED, View

HISTORY = 31 * DAY
"""Minutes of history to rebuild from: more than the longest window, 28 days."""
AHEAD = 2 * DAY
CONTROLS = {"origin_weather": LEAD, "origin_ops": LEAD // 2}
"""Views that a control reads this many minutes after T."""
FIRST_MONTH, MIN_CONTROL = 3, 0.9


@dataclass
class Result:
    """`flights` checked, the `mismatches` found (flight, feature, full value, rebuilt value), and the share of flights
    on which each control differed."""

    flights: int = 0
    values: int = 0
    mismatches: list[tuple[int, str, Any, Any]] = field(default_factory=list)
    controls: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """No mismatch, and every control fired on more than 90 % of the flights."""
        return not self.mismatches and all(share > MIN_CONTROL for share in self.controls.values())

    def __str__(self) -> str:
        controls = ", ".join(f"{name} differs for {share:.0%}" for name, share in self.controls.items())
        return (
            f"{len(self.mismatches)} mismatches in {self.values} values of {self.flights} flights; controls: {controls}"
        )


def check(raw_data: Path, features: Path, flights: int = 20, seed: int = 0) -> Result:
    """Check random flights (March or later, so that history is whole) against the training table in `features`."""
    con = sources.connect(threads=1)
    training = f"read_parquet({quoted(features / 'training.parquet')})"
    columns = ", ".join(("id", "sched", *NUMERIC))
    rows = con.execute(
        f"select {columns} from {training} where month >= {FIRST_MONTH} order by hash(id + {seed}), id limit {flights}"
    ).fetchall()
    result, fired = Result(), dict.fromkeys(CONTROLS, 0)
    for flight, sched, *expected in rows:
        with _world(raw_data, sched, cut=True) as cut, _world(raw_data, sched, cut=False) as whole:
            found = _features(cut, flight)
            result.mismatches += [
                (flight, name, full, found[name])
                for name, full in zip(NUMERIC, expected, strict=True)
                if not _equal(full, found[name])
            ]
            for view in SERVED:
                if view.name in CONTROLS:
                    fired[view.name] += _late(cut, view, flight) != _late(whole, view, flight)
        result.flights += 1
        result.values += len(NUMERIC)
    result.controls = {name: count / max(1, result.flights) for name, count in fired.items()}
    return result


def _world(raw_data: Path, sched: int, cut: bool) -> duckdb.DuckDBPyConnection:
    """A database with the data around one departure; with `cut`, as they were known at its T."""
    t = sched - LEAD
    known = {"dep": "dep", "dep_delay": "dep", "arr": "arr", "arr_delay": "arr"}
    hide = ", ".join(f"case when {moment} <= {t} then {column} end as {column}" for column, moment in known.items())
    near = f"sched between {t - HISTORY} and {t + AHEAD}"
    flight = f"select * replace ({hide}, null::int as y)" if cut else "select *"
    recent = f"ts between {t - HISTORY} and {t if cut else t + AHEAD}"
    world = sources.connect(threads=1)
    for name, select, where in (("flight", flight, near), ("weather", "select *", recent)):
        world.execute(f"create table {name} as {select} from {quoted(raw_data / f'{name}.parquet')} where {where}")
    events.create(world)
    return world


def _features(world: duckdb.DuckDBPyConnection, flight: int) -> Mapping[str, Any]:
    """All features of one flight, rebuilt in its world."""
    world.execute(f"create or replace table target as {TARGETS} where id = {flight}")
    create(world, {view.name: view.sql for view in SERVED})
    values = world.execute(f"select {', '.join(NUMERIC)} from training").fetchall()[0]
    return dict(zip(NUMERIC, values, strict=True))


def _late(world: duckdb.DuckDBPyConnection, view: View, flight: int) -> tuple[Any, ...]:
    """The columns of one view, read some minutes after T."""
    world.execute(f"create or replace table target as {TARGETS} where id = {flight}")
    joined = as_of_join(view, view.sql, CONTROLS[view.name])
    return tuple(world.execute(f"select {', '.join(view.columns)} from ({joined})").fetchall()[0])


def _equal(a: Any, b: Any) -> bool:
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def main() -> None:
    """Print the result; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flights", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    choice = parser.parse_args()
    result = check(raw_folder(), feature_folder(), choice.flights, choice.seed)
    print(result)
    print(*result.mismatches[:10], sep="\n")
    raise SystemExit(0 if result.passed else 1)


if __name__ == "__main__":
    main()
