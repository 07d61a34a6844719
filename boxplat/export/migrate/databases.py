"""Connections to both sides, and what goes wrong with them in words."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from boxplat.core.errors import BoxError, ExitCode

_EXAMPLE = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
# Of an advisory lock: any number that nobody else takes.
_LOCK = 0x626F78706C6174
_PATIENCE = 20


def address(text: str) -> URL:
    """The address of a PostgreSQL database, for the driver that boxplat uses.

    Raises:
        BoxError: it is none (exit code 2), or the driver is not installed (exit code 4).
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Without the cause: its text could hold the password.
        raise _no_address("it cannot be read as an address") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise _no_address(f"it is one of {url.get_backend_name()}")
    if not url.host or not url.database:
        raise _no_address("it names no host or no database")
    if importlib.util.find_spec("psycopg") is None:
        raise BoxError(
            "PostgreSQL's driver is not installed",
            why="the package psycopg is part of the optional extra of exports",
            fix='pip install "boxplat[export]"',
            code=ExitCode.PRECONDITION,
        )
    return url.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """A database's address without user and password."""
    return f"{url.host}{f':{url.port}' if url.port else ''}/{url.database}"


def _no_address(why: str) -> BoxError:
    return BoxError(
        "this is no address of a PostgreSQL database",
        why=f"{why}; it should look like {_EXAMPLE}",
        fix=f"export DATABASE='{_EXAMPLE}' && box export migrate --to-database-env DATABASE …",
        code=ExitCode.USAGE,
    )


@contextmanager
def opened(url: URL) -> Iterator[Engine]:
    """A database over there, its errors in four parts; nobody else migrates into it meanwhile.

    Raises:
        BoxError: it does not answer, refuses what is asked, or another migration is at work in it.
    """
    engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as held:
            _lock(held, url)
            yield engine
    except SQLAlchemyError as error:
        raise _refused(url, error) from error
    finally:
        engine.dispose()


def _lock(held: Connection, url: URL) -> None:
    """Take the lock; the server needs a moment to notice that a command which had it was killed."""
    held.exec_driver_sql(f"set lock_timeout = '{_PATIENCE}s'")
    try:
        held.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
    except OperationalError as error:
        raise _busy(url) from error
    held.commit()


def _busy(url: URL) -> BoxError:
    return BoxError(
        f"another migration into {shown(url)} is at work",
        why="two at once would not know what the other writes",
        fix="wait until it has ended, then run the same command again",
        code=ExitCode.PRECONDITION,
    )


def _refused(url: URL, error: SQLAlchemyError) -> BoxError:
    said = str(getattr(error, "orig", None) or error).strip().replace(str(url.password or "\0"), "***")
    return BoxError(
        f"the database {shown(url)} refuses",
        why="\n".join(said.splitlines()[:4]),
        fix="correct the address or the database's rights, then run the same command: it goes on where it stopped",
        code=ExitCode.PRECONDITION,
    )


@contextmanager
def copy(path: Path | None) -> Iterator[Connection | None]:
    """A copy of a SQLite database; None where there is none."""
    if path is None or not path.exists():
        yield None
        return
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
