"""The record: what was decided about releases, models and keys, append-only and hash-chained, in the box's database.

`chain` has the form of an entry and what is checked; `witness` the copy of the hashes outside the database.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.state import chain, witness
from boxplat.core.state.backfill import past
from boxplat.core.state.chain import Entry, Head
from boxplat.core.state.database import Database, Transaction
from boxplat.core.state.verification import HEAD, Verdict, head_of, verify

RUNBOOK = "docs/runbooks/record-tampered.md"
# Set when the table is made, until the first entry is.
_DUE = "record.due"
_HASH = re.compile(r"[0-9a-f]{64}")


def append(tx: Transaction, subject: str, kind: str, by: str, data: Mapping[str, Any] | None = None) -> Entry:
    """Append an entry inside the transaction of the change that it tells of.

    Args:
        subject: `endpoint/NAME`, `model/NAME`, `gateway` or `record`.
        kind: what happened, as `traffic.set`.
        by: who did it.
        data: what there is to know of it; whatever JSON has no word for is kept as text.
    """
    if _last(tx) is None:
        _begin(tx)
    tx.afterwards(_testify)
    return _add(tx, subject, kind, by, data or {})


def begin(database: Database) -> None:
    """Begin the record of a box that has none, with what was decided before there was one."""
    with database.read() as db:
        if db.execute("select 1 from record limit 1").fetchone():
            return
    with database.write() as tx:
        if _last(tx) is None:
            _begin(tx)
            tx.afterwards(_testify)


def _begin(tx: Transaction) -> None:
    former = witness.parse(witness.read(witness.place(tx.path)), None).former
    due = tx.execute("delete from meta where key = ?", (_DUE,)).rowcount > 0
    decided = tx.execute("select 1 from release limit 1").fetchone() is not None
    # Emptied, or this is an older file beside the hashes of a record: that stays visible.
    lost = not due or (former is not None and decided)
    _add(tx, "record", "record.begun", "boxplat", {"former": former or head_of(tx.connection), "lost": lost})
    for subject, kind, by, data in past(tx):
        _add(tx, subject, kind, by, data)


def _last(tx: Transaction) -> Head | None:
    row = tx.execute("select number, hash from record order by number desc limit 1").fetchone()
    return Head(row["number"], row["hash"]) if row else None


def _add(tx: Transaction, subject: str, kind: str, by: str, data: Mapping[str, Any]) -> Entry:
    last = _last(tx) or Head(0, "")
    text = chain.text_of(last.number + 1, time.time(), subject, kind, by, data, last.hash)
    entry = chain.parsed(text, chain.hash_of(text.encode()))
    tx.execute(
        "insert into record (number, subject, kind, entry, hash) values (?, ?, ?, ?, ?)",
        (entry.number, subject, kind, text, entry.hash),
    )
    head = (HEAD, f"{entry.number} {entry.hash}")
    tx.execute("insert or replace into meta (key, value) values (?, ?)", head)
    return entry


def _testify(connection: sqlite3.Connection, database: Path) -> None:
    """Write the lines that the witness lacks; where that fails it lags, which `verify` tells and the next one mends."""
    row = connection.execute("select hash from record where number = 1").fetchone()
    first = str(row["hash"]) if row else ""
    if not _HASH.fullmatch(first):
        return  # nothing can be said of a chain that has lost its beginning; `verify` tells it
    path = witness.place(database)
    try:
        _to_disk(database)
        known = max(witness.parse(witness.read(path), first).hashes, default=0)
        rows = connection.execute("select number, hash from record where number > ? order by number", (known,))
        heads = [Head(row["number"], row["hash"]) for row in rows.fetchall()]
        if heads:
            witness.write(path, heads, first)
    except OSError:
        return


def _to_disk(database: Path) -> None:
    """See to it that no power failure takes back an entry that the witness knows."""
    journal = database.with_name(f"{database.name}-wal")
    descriptor = os.open(journal if journal.exists() else database, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Record:
    """The record of one box."""

    def __init__(self, database: Database) -> None:
        self._database = database
        begin(database)

    def append(self, tx: Transaction, subject: str, kind: str, by: str, data: Mapping[str, Any] | None = None) -> Entry:
        """Append an entry inside the transaction of the change that it tells of."""
        return append(tx, subject, kind, by, data)

    def entries(
        self, subject: str | None = None, kinds: Sequence[str] = (), after: int = 0, without: Collection[int] = ()
    ) -> list[Entry]:
        """Entries from the oldest to the newest.

        Args:
            subject: only of this subject.
            kinds: only of these kinds; none: of all.
            after: only with numbers above this one.
            without: numbers that are passed over, as of entries that are known to be wrong.

        Raises:
            BoxError: one of them is no entry any more (exit code 4).
        """
        where, values = ["number > ?"], [str(after)]
        if subject is not None:
            where, values = [*where, "subject = ?"], [*values, subject]
        if kinds:
            where, values = [*where, f"kind in ({', '.join('?' * len(kinds))})"], [*values, *kinds]
        with self._database.read() as db:
            sql = f"select number, cast(entry as blob), hash from record where {' and '.join(where)} order by number"
            rows = [row for row in db.execute(sql, values).fetchall() if row["number"] not in without]
        return [_entry(number, text, digest) for number, text, digest in rows]

    def last(self) -> int:
        """The number of the last entry; 0 before the first."""
        with self._database.read() as db:
            row = db.execute("select max(number) as number from record").fetchone()
            return int(row["number"] or 0)

    def verify(self) -> Verdict:
        """Check every entry, the order, the end, and the locks of the table."""
        content = witness.read(witness.place(self._database.path))
        with self._database.read() as db:
            return verify(db, content)


def _entry(number: int, text: bytes, digest: str) -> Entry:
    try:
        if chain.hash_of(text) == digest:
            return chain.parsed(text, digest)
        why = "its hash is another one"
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise BoxError(
        f"entry {number} of the record was changed",
        why=why,
        fix=f"box doctor   (names every entry that is wrong; what to do: {RUNBOOK})",
        code=ExitCode.PRECONDITION,
    )
