"""The tracking database for a move to another server: a copy to read from, and MLflow's schema over there."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from boxplat.core.environment import QUIET
from boxplat.core.errors import BoxError, ExitCode

_SECONDS = 600
# An address holds a password: it is never an argument of a process, which everybody on the machine can read.
_ADDRESS = "BOXPLAT_TRACKING_ADDRESS"
# Of an advisory lock: any number that nobody else takes.
_LOCK = 0x626F78736368656D


def snapshot(mlflow: Path, copy: Path) -> bool:
    """Copy the tracking database as it is in one instant; a server may be writing to it.

    Args:
        mlflow: the store's folder, `.box/mlflow`.
        copy: takes its place at once, or not at all.

    Returns:
        False: the store was never used, there is no copy.

    Raises:
        BoxError: the database cannot be read (exit code 4).
    """
    database = mlflow / "mlflow.db"
    if not database.exists():
        return False
    half = copy.with_name(f"{copy.name}.half")
    half.unlink(missing_ok=True)
    os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as old,
            contextlib.closing(sqlite3.connect(half)) as new,
        ):
            old.backup(new)
            new.execute("pragma journal_mode = delete")
    except sqlite3.Error as error:
        raise BoxError(
            "the tracking database cannot be copied",
            why=f"{database}: {error}",
            fix="box doctor   (box logs tracking says what the server found)",
            code=ExitCode.PRECONDITION,
        ) from error
    half.replace(copy)
    return True


def make(address: str) -> None:
    """Make MLflow's tables, of the installed MLflow, in an empty database; one that was cut off is gone on with.

    Args:
        address: SQLAlchemy's URL of the database.

    Raises:
        BoxError: MLflow cannot.
    """
    try:
        subprocess.run(
            [sys.executable, "-m", "boxplat.adapters.tracking_schema"],
            env={**os.environ, **QUIET, _ADDRESS: address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        said = str(error.stdout).replace(address, "the database").strip().splitlines()
        raise BoxError(
            "MLflow cannot make its tables in the database",
            why="\n".join(said[-5:]) or "it said nothing",
            fix="give its user the right to create tables there, or an empty database of its own",
            code=ExitCode.PRECONDITION,
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BoxError(
            f"MLflow has not made its tables in {_SECONDS} s",
            why="the database is very slow, or somebody holds a lock on its tables",
            fix="look for who holds it: select * from pg_locks; then run the same command again",
            code=ExitCode.TIMED_OUT,
        ) from error


def _make_here(address: str) -> None:
    from mlflow.store.db import utils as untyped

    utils: Any = untyped
    engine = utils.create_sqlalchemy_engine(address)
    with engine.connect() as held:
        # Of a command that was killed the process that makes the tables may be at work still.
        held.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
        # MLflow looks for any table, and would find those of others (Feast's) that share the database.
        upgrade = utils._get_schema_version(engine) is not None
        (utils._upgrade_db if upgrade else utils._initialize_tables)(engine)
    engine.dispose()


if __name__ == "__main__":
    _make_here(os.environ.pop(_ADDRESS))
    sys.stdout.flush()
    os._exit(0)  # as in `boxplat.adapters.tracking`: the tear-down of all that mlflow imports takes a second
