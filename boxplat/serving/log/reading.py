"""Reading a log with DuckDB: its Parquet files and what is still in spools."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import Defaults, connect, literal

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

_ATTEMPTS = 5
T = TypeVar("T")
# What `asked` lends.
Connection: TypeAlias = "DuckDBPyConnection"


def read(
    folder: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    where: str | None = None,
    limit: int | None = None,
) -> pa.Table:
    """Predictions from the oldest to the newest; `docs/prediction-log.md` describes the columns.

    Args:
        folder: of the endpoint's log.
        since, until: of the requests' time (without a zone: UTC); the second is excluded.
        where: a condition in SQL.
        limit: at most so many, the newest.

    Raises:
        BoxError: DuckDB refuses the condition (exit code 2).
    """
    conditions = [f"time >= {_moment(since)}"] if since else []
    conditions += [f"time < {_moment(until)}"] if until else []
    conditions += [f"({where}\n)"] if where else []
    picked = f"select * from predictions where {' and '.join(conditions or ['true'])}"
    if limit is not None:
        picked += f" order by time desc, id desc, row desc limit {int(limit)}"
    return query(folder, f"select * from ({picked}) order by time, id, row", since)


def query(folder: Path, sql: str, since: datetime | None = None) -> pa.Table:
    """The answer of a statement over the views `predictions` and `requests` (their first rows).

    Args:
        since: files whose records are all older need not be read (without a zone: UTC).

    Raises:
        BoxError: DuckDB refuses the statement, or it has no answer (exit code 2).
    """

    def rows(con: DuckDBPyConnection) -> pa.Table:
        found = con.sql(sql)
        if found is None:
            raise _unanswered("this statement has no rows to show")
        return found.to_arrow_table()

    return asked(folder, rows, since)


def asked(folder: Path, use: Callable[[DuckDBPyConnection], T], since: datetime | None = None) -> T:
    """What `use` makes of a connection with the views `predictions` and `requests`; it may be called several times.

    Args:
        since: as in `query`.

    Raises:
        BoxError: DuckDB refuses a statement (exit code 2).
    """
    import duckdb

    for attempt in range(_ATTEMPTS):
        try:
            with opened(folder, since) as con:
                return use(con)
        except duckdb.IOException:
            # A file was deleted between being listed and being read: for its age, or because it was moved.
            if attempt == _ATTEMPTS - 1:
                raise
        except duckdb.Error as error:
            raise _unanswered(str(error).splitlines()[0]) from error
    raise AssertionError


def _unanswered(why: str) -> BoxError:
    return BoxError(
        "the prediction log cannot answer this",
        why=why,
        fix="box predictions NAME --sql 'describe predictions'   (its columns)",
        code=ExitCode.USAGE,
    )


@contextmanager
def opened(folder: Path, since: datetime | None = None) -> Iterator[DuckDBPyConnection]:
    """A connection with the views `predictions` and `requests` over a log as it is now."""
    spooled, files = _content(folder, since)
    con = connect(Defaults())
    try:
        con.register("spooled", spooled)
        union = "select * from spooled"
        if files:
            names = ", ".join(literal(str(file)) for file in files)
            union += f" union all by name select * from read_parquet([{names}], union_by_name = true)"
        con.execute(f"create temp view predictions as {union}")
        con.execute("create temp view requests as select * from predictions where row = 0")
        yield con
    finally:
        con.close()


def _content(folder: Path, since: datetime | None) -> tuple[pa.Table, Sequence[Path]]:
    """Rows of the spools, and the Parquet files of all others.

    Spools are looked at first: one that is gone by then has become a file that the second look finds, and one that was
    read is left out of it.
    """
    import pyarrow as pa

    from boxplat.serving.log import records
    from boxplat.serving.log.compact import PARQUET
    from boxplat.serving.log.spool import SUFFIX

    read_ones: dict[str, Any] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        table = records.load(path)
        if table is not None:
            read_ones[path.stem] = table
    files = [path for path in sorted(folder.glob(f"*{PARQUET}")) if path.stem not in read_ones]
    if since is not None:
        files = [path for path in files if _modified(path) >= _aware(since).timestamp()]
    return pa.concat_tables([records.SCHEMA.empty_table(), *read_ones.values()]), files


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _moment(time: datetime) -> str:
    return f"timestamptz {literal(_aware(time).isoformat())}"


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
