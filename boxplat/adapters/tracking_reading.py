"""Reading the tracking server's database; a server may run or not."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode


@contextlib.contextmanager
def reading(mlflow: Path, table: str, what: str, timeout: float = 2.0) -> Iterator[sqlite3.Connection | None]:
    """One transaction that reads; None where the store was never used, or has no such table yet.

    Args:
        mlflow: the store's folder, `.box/mlflow`.
        what: what is read, for the error.
        timeout: seconds to wait for whoever writes.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    database = mlflow / "mlflow.db"
    if not database.exists():
        yield None
        return
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=timeout)) as db:
            db.row_factory = sqlite3.Row
            db.execute("begin")
            there = db.execute("select 1 from sqlite_master where name = ?", (table,)).fetchone()
            yield db if there else None
    except sqlite3.Error as error:
        raise BoxError(
            f"{what} cannot be read",
            why=f"{database}: {error}",
            fix="box doctor   (box logs tracking says what the server found)",
            code=ExitCode.PRECONDITION,
        ) from error
