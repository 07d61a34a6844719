"""The record: what was decided about releases, models and keys, append-only and hash-chained, in the box's database.

`chain` has the form of an entry and what is checked; `witness` the copy of the hashes outside the database.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.state import chain, witness
from boxplat.core.state.backfill import past
from boxplat.core.state.chain import Entry, Fault, Head, Row
from boxplat.core.state.database import MIGRATIONS, Database, Transaction

RUNBOOK = "docs/runbooks/record-tampered.md"
_HEAD = "record.head"
# SQLite writes the first words of a trigger in capitals.
_TRIGGER = re.compile(r"create trigger (\w+) .*?; end", re.DOTALL)
LOCKS = {match[1]: match[0] for script in MIGRATIONS for match in _TRIGGER.finditer(script)}


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
    _add(tx, "record", "record.begun", "boxplat", {"former": former})
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
    head = (_HEAD, f"{entry.number} {entry.hash}")
    tx.execute("insert or replace into meta (key, value) values (?, ?)", head)
    return entry


def _testify(connection: sqlite3.Connection, database: Path) -> None:
    """Write the lines that the witness lacks; where that fails it lags, which `verify` tells and the next one mends."""
    first = connection.execute("select hash from record where number = 1").fetchone()["hash"]
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole record found. `head` is its last entry; copy it elsewhere to prove this state later."""

    entries: int
    head: Head | None
    faults: tuple[Fault, ...]

    def __bool__(self) -> bool:
        return not self.faults


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

    def verify(self) -> Verdict:
        """Check every entry, the order, the end, and the locks of the table."""
        # Before the table: a line written meanwhile must not look like an entry that was cut off.
        content = witness.read(witness.place(self._database.path))
        with self._database.read() as db:
            if not db.execute("select 1 from sqlite_master where type = 'table' and name = 'record'").fetchone():
                return Verdict(0, None, (Fault(None, "missing", "its table is gone"),))
            rows, head, unlocked = _rows(db), _head(db), _unlocked(db)
        first = next((row.hash.decode(errors="replace") for row in rows if row.number == 1), None)
        known = witness.parse(content, first)
        found = [*chain.faults(rows, head, known.hashes), *known.faults(len(rows)), *_begun(rows, known), *unlocked]
        last = Head(rows[-1].number, rows[-1].hash.decode(errors="replace")) if rows else None
        return Verdict(len(rows), last, tuple(found))


def _rows(db: sqlite3.Connection) -> list[Row]:
    # As bytes: what somebody has written there need be no text.
    columns = ", ".join(f"cast({name} as blob)" for name in ("subject", "kind", "entry", "hash"))
    found = db.execute(f"select number, {columns} from record order by number").fetchall()
    return [Row(number, *(bytes(value or b"") for value in values)) for number, *values in found]


def _head(db: sqlite3.Connection) -> Head | None:
    row = db.execute("select cast(value as blob) from meta where key = ?", (_HEAD,)).fetchone()
    number, _, digest = bytes(row[0]).decode(errors="replace").partition(" ") if row else ("", "", "")
    return Head(int(number), digest) if re.fullmatch(r"[1-9][0-9]{0,17}", number) else None


def _unlocked(db: sqlite3.Connection) -> list[Fault]:
    there = {
        row["name"]: row["sql"] for row in db.execute("select name, sql from sqlite_master where type = 'trigger'")
    }
    return [
        Fault(None, "unlocked", f"the trigger {name} is gone or changed: anybody can change entries")
        for name, sql in LOCKS.items()
        if str(there.get(name)).lower() != sql
    ]


def _begun(rows: Sequence[Row], known: witness.Witness) -> list[Fault]:
    """Whether the first entry tells of the record that the file outside the database has from before."""
    try:
        former = json.loads(rows[0].entry)["data"]["former"] if rows and rows[0].number == 1 else None
    except (ValueError, KeyError, TypeError):
        return []
    if known.former is None or former == {"number": known.former.number, "hash": known.former.hash}:
        return []
    detail = (
        f"another record ended with entry {known.former.number} ({known.former.hash[:12]}…); this one does not say so"
    )
    return [Fault(None, "replaced", detail)]


def _entry(number: int, text: bytes, digest: str) -> Entry:
    try:
        if chain.hash_of(text) == digest:
            return chain.parsed(text, digest)
        why = "its hash is another one"
    except ValueError as error:
        why = str(error)
    raise BoxError(
        f"entry {number} of the record was changed",
        why=why,
        fix=f"box doctor   (names every entry that is wrong; what to do: {RUNBOOK})",
        code=ExitCode.PRECONDITION,
    )
