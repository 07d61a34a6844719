"""From the package's CSV files to checked Parquet with event and created times."""

from __future__ import annotations

from pathlib import Path

import duckdb

from flights import events, sources, timetable, traps
from flights.events import NO_SHOW_AFTER
from flights.paths import digests, is_current, quoted, text_digest, write_manifest
from flights.windows import stamps

# All of a flight's row is known when it has arrived, or when it is given up.
_KNOWN = f"coalesce(arr, greatest(dep, sched + {NO_SHOW_AFTER}), sched + {NO_SHOW_AFTER})"
TABLES = {
    "flight": f"select *, {stamps(('id',), _KNOWN)} from flight order by sched, id",
    "weather": f"select *, {stamps(('origin',), 'ts')} from weather order by ts, origin",
}


def inputs_digest(found: dict[str, str]) -> str:
    """Digest of the source files and of the SQL that converts them."""
    return text_digest(*found.values(), timetable.FLIGHT, timetable.WEATHER, *TABLES.values())


def convert(folder: Path) -> bool:
    """Check the package's files, convert them to Parquet in `folder`; False when nothing had changed.

    Raises `SourceError` for other bytes than the published ones, `TrapError` for data that break a known fact.
    """
    source = sources.source_folder()
    inputs = inputs_digest(sources.check_digests(source))
    if is_current(folder, inputs):
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    con = sources.connect()
    sources.load(con, source)
    timetable.create(con)
    facts = traps.check(con)
    for name, sql in TABLES.items():
        con.execute(f"copy ({sql}) to {quoted(folder / f'{name}.parquet')} (compression zstd)")
    con.close()
    write_manifest(folder, {"inputs": inputs, "files": digests(folder), "facts": facts})
    return True


def attach(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Create tables `flight` and `weather` from the Parquet files, and the event sources over them."""
    for name in TABLES:
        path = quoted(folder / f"{name}.parquet")
        con.execute(f"create table {name} as select * exclude (event_timestamp, created_timestamp) from {path}")
    events.create(con)
