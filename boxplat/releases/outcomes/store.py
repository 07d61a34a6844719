"""Labels as Parquet, one file for each time that some were added, never changed afterwards.

A file is named after the numbers of the additions that it holds, `000000007-000000007.parquet`. Many small ones become
one, `000000001-000000064.parquet`, which appears at once and counts instead of them from then on.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.paths import Paths
from boxplat.features.database import Defaults, connect, literal

if TYPE_CHECKING:
    import pyarrow as pa

    from boxplat.serving.log.reading import Connection

_LOCK = ".lock"
_MANY = 64
_TEMPORARY = ".part"
# What makes two labels ones of the same thing.
IDENTITY = ("id", "row", "names", "key", "about")
_EMPTY = (
    "select null::varchar as id, null::integer as row, null::varchar as names, null::varchar as key, "
    "null::timestamptz as about, null::double as label, null::varchar as said, null::varchar as more, "
    "null::timestamptz as received where false"
)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of added labels: `new` ones, the `same` as were there, others than were there (`corrected`), and
    rows without an id or a key, or without a label (`refused`). `words` of those added are no numbers."""

    rows: int
    new: int
    same: int
    corrected: int
    refused: int
    words: int = 0


def folder_of(paths: Paths, endpoint: str) -> Path:
    """Where the labels of an endpoint lie."""
    return paths.state / "outcomes" / endpoint


def add(folder: Path, table: pa.Table, columns: dict[str, str]) -> Added:
    """Add labels. Those that are there already are not added again, those that differ are kept beside the former.

    Args:
        columns: SQL over the table for the columns of the store.

    Raises:
        OSError: no space or no permission; then nothing is added.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        there = files(folder)
        con = connect(Defaults())
        try:
            con.execute("set timezone = 'UTC'")
            con.register("given", table)
            view(con, there)
            found = _sorted_out(con, columns)
            if found.new or found.corrected:
                number = 1 + max((_range(path)[1] for path in there), default=0)
                _write(con, folder / f"{number:09d}-{number:09d}.parquet", "select * exclude (former) from fresh")
                _merge(con, folder)
            return found
        finally:
            con.close()


def view(con: Connection, there: Sequence[Path]) -> None:
    """Make the view `outcomes` of these files: each version of each label, with the time `received`."""
    names = ", ".join(literal(str(path)) for path in there)
    source = f"select * from read_parquet([{names}])" if there else _EMPTY
    con.execute(f"create or replace temp view outcomes as {source}")


def files(folder: Path) -> list[Path]:
    """Those that count, oldest first."""
    ranges = {path: _range(path) for path in sorted(folder.glob("*-*.parquet"))}
    inside = {
        path
        for path, (first, last) in ranges.items()
        for other, (low, high) in ranges.items()
        if other != path and low <= first and last <= high
    }
    return [path for path in ranges if path not in inside]


def _range(path: Path) -> tuple[int, int]:
    first, _, last = path.stem.partition("-")
    return int(first), int(last)


def _sorted_out(con: Connection, columns: dict[str, str]) -> Added:
    """Make the table `fresh` of the labels that are to be added."""
    picked = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    con.execute(f"create or replace temp table given_rows as select {picked}, row_number() over () as n from given")
    good = "(id is not null or key is not null) and coalesce(isfinite(label), said is not null)"
    same = " and ".join(f"k.{name} is not distinct from g.{name}" for name in IDENTITY)
    identity = ", ".join(IDENTITY)
    con.execute(
        f"""
        create or replace temp table fresh as
        with last as (select *, row_number() over (partition by {identity} order by n desc) as r
                      from given_rows where {good}),
        known as (select {identity}, arg_max((label, said, more), received) as latest from outcomes group by all)
        select g.* exclude (n, r), ?::timestamptz as received, k.latest is not null as former
        from last g left join known k on {same}
        where r = 1 and (k.latest is null or k.latest is distinct from (g.label, g.said, g.more))
        """,
        [_now(con)],
    )
    rows, refused = con.sql(f"select count(*), count(*) filter (not ({good})) from given_rows").fetchall()[0]
    new, corrected, words = con.sql(
        "select count(*) filter (not former), count(*) filter (former), count(said) from fresh"
    ).fetchall()[0]
    return Added(rows, new, rows - refused - new - corrected, corrected, refused, words)


def _now(con: Connection) -> datetime:
    """The time, later than that of any label that is there, whatever the clock did."""
    last = con.sql("select max(received) from outcomes").fetchall()[0][0]
    now = datetime.now(UTC)
    return max(now, last + timedelta(microseconds=1)) if last else now


def _write(con: Connection, target: Path, sql: str) -> None:
    import pyarrow.parquet

    temporary = target.with_name(f".{target.stem}{_TEMPORARY}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            pyarrow.parquet.write_table(con.sql(sql).to_arrow_table(), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _merge(con: Connection, folder: Path) -> None:
    """Make one file of many. Those that it replaces go afterwards; who reads meanwhile reads again."""
    there = files(folder)
    if len(there) >= _MANY:
        view(con, there)
        first, last = _range(there[0])[0], _range(there[-1])[1]
        _write(con, folder / f"{first:09d}-{last:09d}.parquet", "select * from outcomes order by received")
    kept = set(files(folder))
    for path in folder.glob("*-*.parquet"):
        if path not in kept:
            path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
