"""What one join works with: limits, and a DuckDB connection that is opened when something first needs it."""

from __future__ import annotations

import os
import re
import secrets
from functools import cached_property
from typing import TYPE_CHECKING, Self

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.join.request import Options

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

# Rows that are worth a pass of their own, however little memory there is.
LEAST_ROWS = 2**14


class Session:
    """The means of one join; closed by whoever made it.

    Attributes:
        threads: how many threads work at a time; never more than the cores that the process may use.
        budget: bytes that the join's own arrays may take.
        tables: names of the tables that it made in the database, which other joins use too.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        cores = len(os.sched_getaffinity(0))
        self.threads = max(1, min(options.threads or cores, cores))
        self.limit = _bytes(options.memory_limit) if options.memory_limit else _free() // 2
        # The rest is for the interpreter and its libraries, for what allocators keep and for what DuckDB holds.
        self.budget = self.limit // 3
        self.tables: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "con" not in self.__dict__:
            return
        try:
            for table in self.tables:
                self.con.execute(f'DROP TABLE IF EXISTS "{table}"')
        finally:
            self.con.close()

    def rows(self, width: int) -> int:
        """How many rows of so many bytes one thread may have in flight."""
        return max(self.budget // self.threads // width, LEAST_ROWS)

    def open(self) -> None:
        """Connect now, before several threads ask for it at once."""
        _ = self.con

    @cached_property
    def con(self) -> DuckDBPyConnection:
        """A connection to an in-memory database in UTC."""
        return self.cursor()

    def cursor(self) -> DuckDBPyConnection:
        """One more connection, for a thread of its own; DuckDB's own cursors would forget the time zone."""
        from boxplat.features.database import connect

        return connect(_Limits(self))

    def table(self) -> str:
        """The name of a new table, dropped in the end."""
        self.tables.append(f"history_{secrets.token_hex(8)}")
        return self.tables[-1]


class _Limits:
    def __init__(self, session: Session) -> None:
        mebibytes = max(session.limit // 2, 64 * 2**20) // 2**20
        if session.options.memory_limit is None:
            # What is free changes all the time: joins with the same limit share a database.
            mebibytes = 1 << (mebibytes.bit_length() - 1)
        self.memory_limit: str | None = f"{mebibytes}MiB"
        self.threads: int | None = session.threads
        self.temp_directory = session.options.temp_directory
        self.settings = session.options.settings


def _free() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _bytes(text: str) -> int:
    """Bytes in `1GB`, `512MiB`, `80%` (of the machine's memory)."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(?:([KMGT]?)(i?)B?|(%))\s*", text, re.IGNORECASE)
    if found is None:
        raise BoxError(
            f"memory_limit {text!r} is no amount of memory",
            why="it is a number and a unit",
            fix="set memory_limit: 1GB under offline_store in feature_store.yaml",
            code=ExitCode.USAGE,
        )
    number, unit, binary, percent = found.groups()
    if percent:
        import psutil

        return int(psutil.virtual_memory().total * float(number) / 100)
    return int(float(number) * (_BINARY if binary else _UNITS).get(unit.upper(), 1))
