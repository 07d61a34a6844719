"""Checking the record as a whole: every entry, the order, the end, and the locks of its table."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.state import chain, witness
from boxplat.core.state.agreement import disagreements
from boxplat.core.state.chain import Fault, Head, Row
from boxplat.core.state.database import MIGRATIONS

# Where the last entry's number and hash are kept beside the table.
HEAD = "record.head"
# SQLite writes the first words of a trigger in capitals.
_TRIGGER = re.compile(r"create trigger (\w+) .*?; end", re.DOTALL)
LOCKS = {match[1]: match[0] for script in MIGRATIONS for match in _TRIGGER.finditer(script)}
_SINCE = next(number for number, script in enumerate(MIGRATIONS, start=1) if "create table record" in script)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole record found. `head` is its last entry; copy it elsewhere to prove this state later."""

    entries: int
    head: Head | None
    faults: tuple[Fault, ...]

    def __bool__(self) -> bool:
        return not self.faults


def verify_file(database: Path) -> Verdict | None:
    """Check the record in a file, which is not changed. None: it is from before there was a record.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    uri = f"{database.resolve().as_uri()}?mode=ro"
    # Before the table: a line written meanwhile must not look like an entry that was cut off.
    content = witness.read(witness.place(database))
    with closing(sqlite3.connect(uri, uri=True, timeout=2, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("begin")
        if db.execute("pragma user_version").fetchone()[0] < _SINCE and not _has_table(db):
            return None
        return verify(db, content)


def verify(db: sqlite3.Connection, content: bytes | None) -> Verdict:
    """Check the record in an open read transaction.

    Args:
        content: of the file outside the database, read before the transaction began.
    """
    if not _has_table(db):
        return Verdict(0, None, (Fault(None, "missing", "its table is gone"),))
    rows, head = _rows(db), head_of(db)
    first = next((row.hash.decode(errors="replace") for row in rows if row.number == 1), None)
    known = witness.parse(content, first)
    found = chain.faults(rows, head, known.hashes)
    if not found:
        found += disagreements(db, [chain.parsed(row.entry, row.hash.decode()) for row in rows])
    found += [*known.faults(len(rows)), *_begun(rows, known), *_unlocked(db)]
    last = Head(rows[-1].number, rows[-1].hash.decode(errors="replace")) if rows else None
    return Verdict(len(rows), last, tuple(found))


def _has_table(db: sqlite3.Connection) -> bool:
    return db.execute("select 1 from sqlite_master where type = 'table' and name = 'record'").fetchone() is not None


def _rows(db: sqlite3.Connection) -> list[Row]:
    # As bytes: what somebody has written there need be no text.
    columns = ", ".join(f"cast({name} as blob)" for name in ("subject", "kind", "entry", "hash"))
    found = db.execute(f"select number, {columns} from record order by number").fetchall()
    return [Row(number, *(bytes(value or b"") for value in values)) for number, *values in found]


def head_of(db: sqlite3.Connection) -> Head | None:
    """The last entry's number and hash, as they stand beside the table; None where they are none."""
    row = db.execute("select cast(value as blob) from meta where key = ?", (HEAD,)).fetchone()
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
    """Whether the first entry stands for the record that was there before it."""
    try:
        said = json.loads(rows[0].entry)["data"] if rows and rows[0].number == 1 else None
        former, lost = (said["former"], said.get("lost")) if said else (None, False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    found = []
    if lost:
        before = f", which ended with entry {former['number']} ({former['hash'][:12]}…)" if former else ""
        found.append(
            Fault(None, "replaced", f"the one that this box had was emptied{before}; this one was begun after it")
        )
    if said and known.former is not None and former != {"number": known.former.number, "hash": known.former.hash}:
        detail = (
            f"another ended with entry {known.former.number} ({known.former.hash[:12]}…), and this one does not say so"
        )
        found.append(Fault(None, "replaced", detail))
    return found
