"""What a join refuses, in four parts."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, ExitCode, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator


def missing_column(what: str, column: str, known: Iterable[str]) -> BoxError:
    """A column that a source or the entity rows do not have."""
    names = list(known)
    there = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return BoxError(
        f"{what} has no column {column!r}{nearest(column, names)}",
        why=f"its columns are {there or 'none'}",
        fix="correct the name in the feature view or in the entity rows, then: box features apply",
        code=ExitCode.USAGE,
    )


def no_comparison(view: str, entity: tuple[str, object], source: tuple[str, object]) -> BoxError:
    """Keys whose types have no values in common; each side as (column, type)."""
    return BoxError(
        f"key {entity[0]!r} of the entity rows cannot be compared with {source[0]!r} of {view}",
        why=f"the entity rows have {entity[1]}, the source of {view} has {source[1]}",
        fix=f"cast {entity[0]!r} to {source[1]} in the entity rows",
        code=ExitCode.USAGE,
    )


def no_time(where: str, column: str, kind: object) -> BoxError:
    """A column that holds no points in time."""
    return BoxError(
        f"column {column!r} of {where} cannot be a time: its type is {kind}",
        why="a time column is a timestamp, a date, or ISO 8601 text; without a zone it is taken for UTC",
        fix=f"convert {column!r} to timestamps",
        code=ExitCode.USAGE,
    )


def name_twice(name: str, first: str, second: str) -> BoxError:
    """Two columns of the result under one name."""
    return BoxError(
        f"the result would have two columns {name!r}",
        why=f"one comes from {first}, the other from {second}",
        fix="ask for full feature names, or rename the column in the entity rows",
        code=ExitCode.USAGE,
    )


def unreadable(path: str, error: BaseException) -> BoxError:
    """A Parquet file that is truncated, damaged, missing or no Parquet file."""
    return BoxError(
        f"cannot read {path} as a Parquet file",
        why=str(error).splitlines()[0] if str(error) else type(error).__name__,
        fix=f"write {path} again, or take it out of the source's folder",
    )


def no_space(where: str, error: BaseException) -> BoxError:
    """A disk that is full."""
    return BoxError(
        f"no space left under {where}",
        why=str(error).splitlines()[0],
        fix=f"free space (df -h {where}), or set temp_directory under offline_store in feature_store.yaml",
    )


def unwritable(path: str, error: BaseException) -> BoxError:
    """A result that cannot be written."""
    return BoxError(
        f"cannot write {path}",
        why=str(error).splitlines()[0] if str(error) else type(error).__name__,
        fix=f"ls -ld {path} shows who may write there; or name another file",
    )


def failed_query(what: str, error: BaseException) -> BoxError:
    """An SQL statement that DuckDB refuses or cannot finish."""
    return BoxError(
        f"cannot read {what}",
        why="\n".join(str(error).splitlines()[:3]),
        fix="run the statement in DuckDB alone: python -c \"import duckdb; duckdb.sql('…')\"",
    )


@contextmanager
def explained(what: str, temp_directory: str | None) -> Iterator[None]:
    """DuckDB's errors as people's errors."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        if "No space left" in text or "temp_directory" in text:
            raise no_space(temp_directory or "the temporary folder", error) from error
        raise failed_query(what, error) from error
