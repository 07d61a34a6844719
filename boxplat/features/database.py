"""How DuckDB is set up for one job: limits, time zone, the user's own options."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.remote import load_remote

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Options whose values are not shown.
_SECRET = re.compile("secret|token|passw|_key|credential|connection", re.IGNORECASE)
# Options that exist only once DuckDB's extension for remote files is loaded.
_REMOTE = ("s3_", "http_", "https_", "ca_cert", "enable_server_cert", "hf_", "azure_")


class Limits(Protocol):
    """What `connect` needs; the store's configuration and the join's options both have it."""

    @property
    def memory_limit(self) -> str | None: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def temp_directory(self) -> str | None: ...
    @property
    def settings(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Defaults:
    """DuckDB's own limits."""

    memory_limit: str | None = None
    threads: int | None = None
    temp_directory: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def connect(limits: Limits, paths: Iterable[str] = ()) -> DuckDBPyConnection:
    """A connection of its own to an in-memory database in UTC; one per job, closed by its user.

    Jobs with the same limits share a database, whose start costs more than a small job, and thereby its memory limit.
    Tables and views of one job are not seen by another.

    Args:
        limits: memory limit, threads, temporary folder, further DuckDB options.
        paths: files it will read; remote ones need DuckDB's `httpfs` extension.

    Raises:
        BoxError: an option that DuckDB does not know, or a value it refuses (exit code 2); remote files without the
            extension (4).
    """
    import duckdb

    spill = Path(limits.temp_directory or _own_folder())
    spill.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {"memory_limit": limits.memory_limit, "threads": limits.threads, "temp_directory": spill}
    options = {name: str(value) for name, value in known.items() if value is not None}
    options |= {name: str(value) for name, value in limits.settings.items()}
    paths = tuple(paths)
    remote = _needs_remote(limits.settings, paths)
    key = (remote, *options.items())
    with _lock:
        try:
            return _cursor(_databases.get(key) or _database(key, options, remote, paths))
        except duckdb.FatalException:
            # A job broke it; the next one gets a new one.
            return _cursor(_database(key, options, remote, paths))


@dataclass(frozen=True)
class _Database:
    """A database, and the options that each connection to it must set for itself."""

    con: DuckDBPyConnection
    own: Mapping[str, str]


_databases: dict[tuple[object, ...], _Database] = {}
_lock = threading.Lock()


def _close() -> None:
    """A database's threads do not survive a fork: a child that has a copy of one hangs or crashes when it ends."""
    _lock.acquire()
    for database in _databases.values():
        database.con.close()
    _databases.clear()


os.register_at_fork(before=_close, after_in_parent=_lock.release, after_in_child=_lock.release)


def _own_folder() -> Path:
    """Where DuckDB spills to by default.

    Raises:
        BoxError: it is another user's, who could read what is written there.
    """
    folder = Path(tempfile.gettempdir()) / f"boxplat-duckdb-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise BoxError(
            f"DuckDB cannot spill to {folder}",
            why="it is no folder that only its owner, this user, can open",
            fix=f"look at it (ls -ld {folder}); remove it, or set temp_directory in feature_store.yaml",
            code=ExitCode.PRECONDITION,
        )
    return folder


def _database(key: tuple[object, ...], options: Mapping[str, str], remote: bool, paths: Iterable[str]) -> _Database:
    import duckdb

    # Extensions are never downloaded behind the user's back, and a file is read anew by every job.
    base: dict[str, Any] = {
        "autoinstall_known_extensions": "false",
        "custom_user_agent": "boxplat",
        "enable_external_file_cache": "false",
    }
    con = duckdb.connect(":memory:", config=base)
    try:
        if remote:
            load_remote(con, paths)
        # Also for cursors that a job makes of its own.
        _set(con, "TimeZone", "UTC")
        own = {name: value for name, value in options.items() if not _set(con, name, value)}
    except BaseException:
        con.close()
        raise
    made = _databases[key] = _Database(con, {"TimeZone": "UTC", "enable_progress_bar": "false", **own})
    return made


def _cursor(database: _Database) -> DuckDBPyConnection:
    con = database.con.cursor()
    for name, value in database.own.items():
        con.execute(f"SET {quoted(name)} = {literal(value)}")
    return con


def _set(con: DuckDBPyConnection, name: str, value: str) -> bool:
    """Set an option for all connections; False where each must set it for itself."""
    import duckdb

    try:
        try:
            con.execute(f"SET GLOBAL {quoted(name)} = {literal(value)}")
            return True
        except duckdb.CatalogException as error:
            if "cannot be set globally" not in str(error):
                raise
            con.execute(f"SET {quoted(name)} = {literal(value)}")
            return False
    except duckdb.Error as error:
        raise BoxError(
            f"DuckDB refuses the option {name}" + ("" if _SECRET.search(name) else f" = {value!r}"),
            why=str(error).splitlines()[0],
            fix=f"correct {name} under offline_store in feature_store.yaml",
            code=ExitCode.USAGE,
        ) from error


def is_remote(path: str) -> bool:
    """Whether a path is a URL of another machine (`s3://…`, `https://…`)."""
    return "://" in path and not path.startswith("file://")


def _needs_remote(settings: Mapping[str, str], paths: Iterable[str]) -> bool:
    return any(map(is_remote, paths)) or any(name.startswith(_REMOTE) for name in settings)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
