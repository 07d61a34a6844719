"""The SQLite file: opening, schema, migration, transactions, and what to say when it is damaged."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import unwritable

# One entry per schema version; a released entry is never edited, only followed by another.
MIGRATIONS = (
    """
    create table meta (key text primary key, value text not null);
    create table event (
        id integer primary key autoincrement, at real not null,
        subject text not null, kind text not null, data text not null
    );
    create index event_subject on event (subject, id);
    create table service (
        name text primary key, kind text not null, spec text not null, desired integer not null,
        generation integer not null default 1, state text not null default 'stopped',
        pid integer, pid_started real, running_digest text, port integer, restarts integer not null default 0,
        since real not null, reason text not null default '', healthy_seconds real
    );
    create table run (
        id integer primary key autoincrement, flow text not null, name text not null, state text not null,
        params text not null, options text not null, created real not null, started real, ended real,
        pid integer, pid_started real, pathspec text, tracking_run_id text, exit_code integer, error text,
        cancel_requested integer not null default 0
    );
    create index run_state on run (state);
    create table task (
        run_id integer not null references run (id), step text not null, task text not null,
        attempt integer not null, state text not null, started real not null, ended real,
        foreach_index integer, error text, primary key (run_id, step, task)
    );
    create table release (
        endpoint text not null, number integer not null, bento text not null, model text, model_version integer,
        feature_service text, environment text not null, created real not null, created_by text not null,
        state text not null default 'created', primary key (endpoint, number)
    );
    create table traffic (
        endpoint text not null, number integer not null, weight integer not null, primary key (endpoint, number)
    );
    """,
    "alter table service add column grpc_port integer",
    # Each release has processes of its own; a gateway has the endpoint's address. What served before goes on serving.
    """
    alter table release add column run text;
    alter table release add column settings text not null default '{}';
    alter table release add column evidence text not null default '{}';
    create table endpoint (name text primary key, shadow integer, settings text not null default '{}');
    create table change (
        id integer primary key autoincrement, endpoint text not null, kind text not null, by text not null,
        reason text not null default '', began real not null, pid integer, pid_started real,
        weights text not null, shadow integer, before text not null default '{}', before_shadow integer,
        moved real, ended real, problem text not null default '', evidence text not null default '{}', owed text
    );
    create index change_endpoint on change (endpoint, moved);
    insert into endpoint (name) select distinct endpoint from release;
    insert into change (endpoint, kind, by, began, moved, ended, weights)
        select endpoint, 'deploy', created_by, created, created, created, json_object(cast(number as text), 100)
        from release where state in ('retired', 'live') order by endpoint, number;
    delete from service where kind = 'endpoint'
    """,
    """
    create table record (
        number integer primary key, subject text not null, kind text not null, entry text not null, hash text not null
    );
    create index record_subject on record (subject, number);
    create trigger record_no_update before update on record
        begin select raise(abort, 'the record is append-only'); end;
    create trigger record_no_delete before delete on record
        begin select raise(abort, 'the record is append-only'); end;
    create trigger record_in_order before insert on record
        when new.number is not (select coalesce(max(number), 0) + 1 from record)
        begin select raise(abort, 'the record is append-only'); end;
    insert into meta (key, value) values ('record.due', 'yes');
    """,
    """
    create table access_key (
        id integer primary key, name text not null, scopes text not null, digest text not null unique,
        made real not null, made_by text not null, revoked real, revoked_by text
    );
    create unique index access_key_name on access_key (name) where revoked is null
    """,
    # A run's place in line; what a task waits for.
    """
    alter table run add column priority text not null default 'interactive';
    alter table run add column position real not null default 0;
    alter table run add column held integer not null default 0;
    alter table task add column waits text not null default '';
    update run set position = id;
    """,
    # What runs read and wrote, by content; what must stay and what `box gc` took.
    """
    create table run_data (
        run_id integer not null references run (id), way text not null, name text not null, digest text not null,
        path text not null, files integer not null, bytes integer not null, step text not null, at real not null,
        note text not null, primary key (run_id, way, name, digest)
    );
    create table file_digest (path text primary key, stamp text not null, digest text not null);
    create table pin (subject text primary key, at real not null, by text not null);
    create table freed (
        subject text primary key, kind text not null, bytes integer not null, marked real not null, by text not null,
        data text not null, done real
    );
    """,
    # What each attempt at a task used.
    """
    create table profile (
        run_id integer not null references run (id), step text not null, task text not null, attempt integer not null,
        ok integer not null, started real not null, seconds real not null, memory integer not null,
        inherited integer not null, vram integer not null, gpus integer not null, cpu_seconds real not null,
        gpu_seconds real not null, cores real not null, read_bytes integer not null, write_bytes integer not null,
        disk_read integer not null, disk_write integer not null, cpu_joules real not null, gpu_joules real not null,
        asked text not null default '{}', exact integer not null, primary key (run_id, step, task, attempt)
    );
    create index profile_started on profile (started);
    create index run_name on run (name, id);
    """,
    """
    create table sweep (
        id integer primary key autoincrement, flow text not null, name text not null, plan text not null,
        state text not null default 'running', created real not null, created_by text not null, ended real,
        tracking_run_id text, error text not null default '', cancel_requested integer not null default 0,
        owed integer not null default 0
    );
    create table trial (
        sweep_id integer not null references sweep (id), number integer not null, params text not null,
        state text, value real, note text not null default '', reported text not null default '{}',
        discarded integer not null default 0, interrupted integer not null default 0, primary key (sweep_id, number)
    );
    create index run_of_trial on run (json_extract(options, '$.sweep'), json_extract(options, '$.trial'))
        where json_extract(options, '$.sweep') is not null;
    """,
    # What was granted to live processes, who waits for room, and what was measured last; pids are those of one boot.
    """
    create table lease (
        id integer primary key autoincrement, owner text not null, claim text not null, devices text not null,
        pid integer not null, ticks real not null, since real not null,
        used integer not null default 0, vram_used integer not null default 0, told integer not null default 0
    );
    create table waiting (
        id integer primary key autoincrement, owner text not null, claim text not null, position real not null,
        pid integer not null, ticks real not null, since real not null, seen real not null,
        why text not null, estimate real, unique (owner, pid)
    );
    create table ledger (
        one integer primary key check (one = 1), sequence integer not null, boot text not null,
        sampled real, sample text
    );
    insert into ledger (one, sequence, boot) values (1, 0, '')
    """,
    # What starts flows by itself: `counted` is the time up to which due times are decided, `heard` the last event.
    """
    create table schedule (
        flow text primary key, name text not null, spec text not null, present integer not null default 1,
        paused integer not null default 0, problem text not null default '', counted real not null,
        heard integer not null, due real, run_id integer
    );
    create table firing (
        flow text not null, due real not null, at real not null, run_id integer, why text not null default '',
        primary key (flow, due)
    ) without rowid;
    create table arrival (
        flow text not null, name text not null, event integer not null, at real not null, payload text not null,
        pathspec text not null default '', run_id integer, primary key (flow, name)
    ) without rowid;
    """,
)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those in the body of a trigger are parts of one."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if part.strip() and sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class Transaction:
    """An open write transaction on the file `path`, with the event log within reach."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        self.later: list[Callable[[sqlite3.Connection, Path], None]] = []

    def execute(self, sql: str, values: tuple[Any, ...] | Mapping[str, Any] = ()) -> sqlite3.Cursor:
        return self.connection.execute(sql, values)

    def afterwards(self, call: Callable[[sqlite3.Connection, Path], None]) -> None:
        """Have something called once, with the connection and the file, when this is committed."""
        if call not in self.later:
            self.later.append(call)

    def event(self, subject: str, kind: str, data: Mapping[str, Any] | None = None) -> int:
        """Append one line to the audit log and return its id; what a run does to others is noted as `in_run`."""
        told = dict(data or {})
        run = os.environ.get("BOXPLAT_RUN_ID", "")
        if run.isdecimal() and subject != f"run/{run}":
            told.setdefault("in_run", int(run))
        row = (time.time(), subject, kind, json.dumps(told, sort_keys=True, default=str))
        cursor = self.execute("insert into event (at, subject, kind, data) values (?, ?, ?, ?)", row)
        return int(cursor.lastrowid or 0)


class Database:
    """One SQLite file in WAL mode; one connection per thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._commits = 0
        with self._explained():
            self._migrate()
        opened = path.stat()
        self._file = (opened.st_dev, opened.st_ino)

    def _connect(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            if not self.path.exists():
                # Made private before SQLite opens it: the files beside it (-wal, -shm) inherit the mode.
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = sqlite3.connect(self.path, timeout=20, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.execute("pragma foreign_keys = on")
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def settle(self) -> None:
        """Write the journal back into the file, and empty it, as far as nobody reads it."""
        with self._explained():
            self._connect().execute("pragma wal_checkpoint(truncate)").fetchall()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A write transaction: all of it or nothing."""
        with self._explained():
            connection = self._connect()
            connection.execute("begin immediate")
            tx = Transaction(connection, self.path)
            try:
                yield tx
                connection.execute("commit")
            except BaseException:
                # A full disk has made SQLite roll back by itself.
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            self._commits += 1
            for call in tx.later:
                call(connection, self.path)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: everything in it sees the same moment. Nested reads join the outer one."""
        with self._explained():
            connection = self._connect()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("begin")
            try:
                yield connection
            finally:
                connection.execute("rollback")

    def version(self) -> tuple[int, int]:
        """Differs from the one before when anybody has committed since: another connection, or this object."""
        with self._explained():
            return int(self._connect().execute("pragma data_version").fetchone()[0]), self._commits

    def in_place(self) -> bool:
        """Whether the file is still the one that was opened, and not deleted, moved away or replaced."""
        try:
            now = self.path.stat()
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == self._file

    def _migrate(self) -> None:
        connection = self._connect()
        found = int(connection.execute("pragma user_version").fetchone()[0])
        if found > len(MIGRATIONS):
            raise BoxError(
                f"{self.path} was written by a newer boxplat (schema {found}, this one knows {len(MIGRATIONS)})",
                why="an older program could lose what the newer one wrote",
                fix="pip install --upgrade boxplat",
                code=ExitCode.PRECONDITION,
            )
        if found == len(MIGRATIONS):
            return
        # Two processes may come here at once: the loser of the lock finds the work done.
        connection.execute("begin immediate")
        found = int(connection.execute("pragma user_version").fetchone()[0])
        for number in range(found, len(MIGRATIONS)):
            for statement in _statements(MIGRATIONS[number]):
                connection.execute(statement)
        connection.execute(f"pragma user_version = {len(MIGRATIONS)}")
        connection.execute("commit")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._operational(error) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            raise self._damaged(error) from error

    def _operational(self, error: sqlite3.OperationalError) -> BoxError:
        text = str(error)
        if "unable to open" in text or "readonly" in text:
            return unwritable(self.path, OSError(13, text))
        if "disk is full" in text or "disk I/O" in text:
            return BoxError(
                f"cannot write {self.path}",
                why=text,
                fix=f"free some space: box gc, df -h {self.path.parent}; nothing that was committed is lost",
                code=ExitCode.PRECONDITION,
            )
        if "locked" in text:
            return BoxError(
                f"{self.path} is locked",
                why="another process holds a write for over 20 s",
                fix="box status   (then try again; a backup tool that locks the file must let go)",
            )
        return self._damaged(error)

    def _damaged(self, error: sqlite3.DatabaseError) -> BoxError:
        aside = self.path.with_name("box.db.damaged")
        return BoxError(
            f"{self.path} cannot be read: {error}",
            why="the file is damaged or is no SQLite database; boxplat never deletes it",
            fix=f"keep it and start afresh: mv {self.path} {aside} && box up   "
            "(to save what is readable: docs/runbooks/corrupt-box-db.md)",
            code=ExitCode.PRECONDITION,
        )
