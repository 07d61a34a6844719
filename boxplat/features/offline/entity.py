"""Entity rows in whatever form people have them; the caller's own data is never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.datasets import read_file
from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.features.database import Limits, connect, literal

if TYPE_CHECKING:
    import pyarrow as pa

# The name that Feast gives to the time of an entity row.
DEFAULT_TIMESTAMP = "event_timestamp"
_KINDS = "a pandas or Polars frame, Arrow rows, a DuckDB query, the path of a Parquet file, or None with two dates"


@dataclass(frozen=True)
class Rows:
    """Entity rows: in memory (`table`), or a DuckDB query that is only run when they are needed.

    Attributes:
        types: type by column, Arrow's or DuckDB's, as text.
        timestamp: the column of the rows' times.
    """

    table: pa.Table | None
    query: str
    types: Mapping[str, str]
    timestamp: str

    def require(self, names: Sequence[str], why: str) -> None:
        """Raises BoxError for a column that the rows lack."""
        for name in names:
            if name not in self.types:
                raise BoxError(
                    f"the entity rows have no column {name!r}{nearest(name, self.types)}",
                    why=f"{why}; the rows have: {', '.join(self.types)}",
                    fix=f"add the column {name!r} to the entity rows",
                    code=ExitCode.USAGE,
                )


def rows(given: Any, limits: Limits, repo: Path | None) -> Rows:
    """Take entity rows of any kind.

    Args:
        given: pandas or Polars frame, Arrow table, batch or batch reader (read here, once), or anything else that
            offers Arrow's C stream; a DuckDB query; the path or glob of Parquet files.

    Raises:
        BoxError: something else, rows that Arrow cannot hold, or no column of times (exit code 2).
    """
    if isinstance(given, Path) or (isinstance(given, str) and given.rstrip().endswith(".parquet")):
        path = Path(str(given).strip())
        where = path if path.is_absolute() or repo is None or path.exists() else repo / path
        if where.is_file():
            read_file(where)
        return _query(f"SELECT * FROM read_parquet({literal(str(where))})", limits)
    if isinstance(given, str):
        return _query(given.strip().rstrip(";"), limits)
    table = _table(given)
    _distinct(table.column_names)
    types = {field.name: str(field.type) for field in table.schema}
    return Rows(table, "", types, _timestamp(types, _is_time))


def _table(given: Any) -> pa.Table:
    import pyarrow as pa

    try:
        if isinstance(given, pa.Table):
            return given
        if isinstance(given, pa.RecordBatch):
            return pa.Table.from_batches([given])
        if hasattr(given, "iloc"):
            return _pandas(given)
        if hasattr(given, "collect") and not hasattr(given, "__arrow_c_stream__"):
            given = given.collect()
        if hasattr(given, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(given).read_all()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unfit(str(error).splitlines()[0], "give every column one type") from error
    raise _unfit(f"their type is {type(given).__name__}", f"give {_KINDS}")


def _pandas(given: Any) -> pa.Table:
    import pyarrow as pa

    odd = [name for name in given.columns if not isinstance(name, str)]
    if odd:
        raise _unfit(f"column names {odd} are no text", "rename the columns")
    _distinct(list(given.columns))
    # Numbers are not copied and text is read under the interpreter's lock: threads would only cost their start.
    return pa.Table.from_pandas(given, preserve_index=False, nthreads=1).replace_schema_metadata(None)


def _distinct(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _unfit(f"several columns are named {', '.join(twice)}", "give every column its own name")


def _query(sql: str, limits: Limits) -> Rows:
    import duckdb

    with connect(limits) as con:
        try:
            described = con.execute(f"DESCRIBE SELECT * FROM ({sql})").fetchall()
        except duckdb.Error as error:
            fix = "correct the query: DuckDB's SELECT, files as read_parquet('…')"
            raise _unfit(str(error).splitlines()[0], fix) from error
    types = {row[0]: row[1] for row in described}
    return Rows(None, sql, types, _timestamp(types, lambda kind: kind.startswith(("TIMESTAMP", "DATE"))))


def _timestamp(types: Mapping[str, str], is_time: Any) -> str:
    """Feast's rule: `event_timestamp`, or else the only column of times."""
    if DEFAULT_TIMESTAMP in types:
        return DEFAULT_TIMESTAMP
    found = [name for name, kind in types.items() if is_time(kind)]
    if len(found) == 1:
        return found[0]
    why = f"of their columns {', '.join(found)} are times" if found else f"none of {', '.join(types)} is a time"
    raise BoxError(
        "cannot tell the time of the entity rows",
        why=f"there is no column {DEFAULT_TIMESTAMP!r}, and {why}",
        fix=f"name the column of times {DEFAULT_TIMESTAMP!r}",
        code=ExitCode.USAGE,
    )


def _is_time(kind: str) -> bool:
    return kind.startswith(("timestamp", "date"))


def _unfit(why: str, fix: str) -> BoxError:
    return BoxError("cannot use these entity rows", why=why, fix=fix, code=ExitCode.USAGE)
