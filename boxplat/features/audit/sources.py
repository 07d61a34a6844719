"""The files that a training set is built from, and copies of them that know nothing after a moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import literal, quoted

if TYPE_CHECKING:
    import duckdb

FORMATS = (".parquet", ".csv")


@dataclass(frozen=True)
class Source:
    """One source: its files, and SQL over a row that says when the row (`known`) and columns (`later`) became known.

    Rows known more than `history_us` microseconds before a decision are of no use to it; None: all are.
    """

    name: str
    files: tuple[Path, ...]
    known: str
    later: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    history_us: int | None = None


@dataclass(frozen=True)
class Cut:
    """What hiding the future took out of one source: whole `rows`, and single `values` of rows that stay."""

    rows: int
    values: int


def connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    """In-memory DuckDB in UTC that spills to `scratch`."""
    import duckdb

    con = duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(scratch)})
    con.execute("set TimeZone = 'UTC'")
    return con


def files(root: Path, pattern: str, name: str) -> tuple[Path, ...]:
    """The files of a path: one file, all Parquet and CSV files below a folder, or a glob.

    Raises:
        BoxError: there is none (exit code 9), or one is neither Parquet nor CSV (2).
    """
    path = Path(pattern) if Path(pattern).is_absolute() else root / pattern
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.suffix in FORMATS]
    elif path.is_file():
        found = [path]
    else:
        base = Path(path.anchor)
        found = [file for file in base.glob(str(path.relative_to(base))) if file.is_file()] if "*" in pattern else []
    if not found:
        raise BoxError(
            f"source {name!r} has no file: {path}",
            why="the audit cuts the files that the training set is built from",
            fix=f"run the flow that writes it, or correct [sources.{name}] path",
            code=ExitCode.NOT_FOUND,
        )
    odd = next((file for file in found if file.suffix not in FORMATS), None)
    if odd is not None:
        raise BoxError(
            f"source {name!r} cannot be cut: {odd}",
            why=f"it is none of {', '.join(FORMATS)}",
            fix="convert it to Parquet and let the build read that",
            code=ExitCode.USAGE,
        )
    return tuple(sorted(found))


def relation(file: Path) -> str:
    """SQL that reads a file; CSV as texts, so that what stays is written as it was."""
    if file.suffix == ".parquet":
        return f"read_parquet({literal(str(file))})"
    return f"read_csv({literal(str(file))}, all_varchar=true, header=true, quote='\"', escape='\"')"


def typed(file: Path) -> str:
    """SQL that reads a file, CSV with the types that it seems to have."""
    return relation(file).replace("all_varchar=true, ", "")


def moment(expression: str) -> str:
    """SQL: a time (naive: UTC) in microseconds since the epoch; a single word is a column, also a reserved one."""
    if re.fullmatch(r"[A-Za-z_]\w*", expression):
        expression = quoted(expression)
    return f"epoch_us(({expression})::timestamptz)"


def check(con: duckdb.DuckDBPyConnection, source: Source) -> None:
    """Try a source's expressions on all its files.

    Raises:
        BoxError: an unreadable file, or an expression that fails on it (exit code 2).
    """
    for file in source.files:
        try:
            con.execute(f"select {_newest(source)} from {relation(file)}").fetchall()
        except _failure() as error:
            raise BoxError(
                f"source {source.name!r} cannot be dated: {file}",
                why=str(error).splitlines()[0],
                fix=f"correct known and later in [sources.{source.name}]; both are SQL that gives a time, "
                'like "to_timestamp(60 * minutes)"',
                code=ExitCode.USAGE,
            ) from error


def newest(con: duckdb.DuckDBPyConnection, sources: Sequence[Source], place: Callable[[Path], Path]) -> int | None:
    """The latest moment at which anything in the files (each at its `place`) became known; None when all are empty."""
    found: list[int | None] = []
    for source in sources:
        for file in source.files:
            found += con.execute(f"select {_newest(source)} from {relation(place(file))}").fetchall()[0]
    return max((value for value in found if value is not None), default=None)


def _newest(source: Source) -> str:
    """SQL: the latest moment of a file; a column's moment counts where the column has a value."""
    parts = [moment(source.known)]
    for columns, expression in source.later.items():
        there = " or ".join(f"{quoted(column)} is not null" for column in columns)
        parts.append(f"case when {there} then {moment(expression)} end")
    return f"max(greatest({', '.join(parts)}, null::bigint))"


def cut(con: duckdb.DuckDBPyConnection, source: Source, until: int, place: Callable[[Path], Path]) -> Cut:
    """Write the source's files, each at its `place`, as they were known at a moment (microseconds since the epoch)."""
    rows = values = 0
    for file in source.files:
        gone, hidden = con.execute(_losses(source, until, file)).fetchall()[0]
        rows, values = rows + gone, values + hidden
        _write(con, _known(source, until, file), file, place(file))
    return Cut(rows, values)


def empty(con: duckdb.DuckDBPyConnection, source: Source, place: Callable[[Path], Path]) -> None:
    """Write the source's files, each at its `place`, without a row."""
    for file in source.files:
        _write(con, f"select * from {relation(file)} where false", file, place(file))


def _known(source: Source, until: int, file: Path) -> str:
    known = moment(source.known)
    hide = [
        f"case when {moment(expression)} <= {until} then {quoted(column)} end as {quoted(column)}"
        for columns, expression in source.later.items()
        for column in columns
    ]
    replace = f" replace ({', '.join(hide)})" if hide else ""
    since = f" and {known} >= {until - source.history_us}" if source.history_us is not None else ""
    return f"select *{replace} from {relation(file)} where {known} <= {until}{since}"


def _losses(source: Source, until: int, file: Path) -> str:
    known = f"coalesce({moment(source.known)} <= {until}, false)"
    hidden = [
        f"count({quoted(column)}) filter ({known} and not coalesce({moment(expression)} <= {until}, false))"
        for columns, expression in source.later.items()
        for column in columns
    ]
    return f"select count(*) filter (not {known}), {' + '.join(hidden) or '0'} from {relation(file)}"


def _write(con: duckdb.DuckDBPyConnection, query: str, like: Path, target: Path) -> None:
    """Write a query to a file of the same format, and for Parquet the same column types, as another."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if like.suffix == ".csv":
        ((delimiter,),) = con.execute(f"select Delimiter from sniff_csv({literal(str(like))})").fetchall()
        con.execute(f"copy ({query}) to {literal(str(target))} (format csv, header, delimiter '{delimiter}')")
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(like)
    with pq.ParquetWriter(target, schema) as writer:
        for batch in con.sql(query).to_arrow_reader(65_536):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))


def _failure() -> type[Exception]:
    import duckdb

    return duckdb.Error
