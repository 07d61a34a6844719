"""What runs read and wrote, by the digest of its content; and the digests of files that have not changed since."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping

from boxplat.core.digests import Stamp
from boxplat.core.model import Dataset
from boxplat.core.state.database import Database

_FIELDS = ("way", "name", "digest", "path", "files", "bytes", "step", "at", "note")
# Clocks of file systems are coarse: two writes within this time can leave the same stamp.
_SETTLED = 1.0


class Datasets:
    """Data versions of one box."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run_id: int, found: Iterable[Dataset]) -> None:
        """Keep datasets of a run; one that is known already stays as it was first told."""
        rows = [(run_id, *(getattr(one, field) for field in _FIELDS)) for one in found]
        if not rows:
            return
        names, marks = ", ".join(("run_id", *_FIELDS)), ", ".join("?" * (len(_FIELDS) + 1))
        with self._database.write() as tx:
            for row in rows:
                tx.execute(f"insert or ignore into run_data ({names}) values ({marks})", row)

    def of_run(self, run_id: int) -> list[Dataset]:
        """Datasets of a run in the order in which it came to them."""
        sql = f"select {', '.join(_FIELDS)} from run_data where run_id = ? order by at, way, name"
        with self._database.read() as db:
            return [_dataset(row) for row in db.execute(sql, (run_id,)).fetchall()]

    def digests(self, stamps: Iterable[Stamp]) -> dict[str, str]:
        """Digest by path of those files that were hashed before and are unchanged since."""
        found = {}
        with self._database.read() as db:
            for stamp in stamps:
                row = db.execute("select stamp, digest from file_digest where path = ?", (stamp.path,)).fetchone()
                if row is not None and row["stamp"] == _text(stamp):
                    found[stamp.path] = str(row["digest"])
        return found

    def remember(self, digests: Mapping[Stamp, str]) -> None:
        """Keep digests of files that nobody has written to lately."""
        until = (time.time() - _SETTLED) * 1e9
        rows = [(stamp.path, _text(stamp), digest) for stamp, digest in digests.items() if stamp.modified_ns < until]
        if not rows:
            return
        with self._database.write() as tx:
            for row in rows:
                tx.execute("insert or replace into file_digest (path, stamp, digest) values (?, ?, ?)", row)

    def forget_files(self, gone: Iterable[str]) -> None:
        """Drop the digests of files that are no more."""
        with self._database.write() as tx:
            for path in gone:
                tx.execute("delete from file_digest where path = ?", (path,))

    def known_files(self) -> list[str]:
        """Paths of all files with a digest."""
        with self._database.read() as db:
            return [str(row["path"]) for row in db.execute("select path from file_digest").fetchall()]


def _text(stamp: Stamp) -> str:
    return f"{stamp.device}:{stamp.inode}:{stamp.size}:{stamp.modified_ns}"


def _dataset(row: sqlite3.Row) -> Dataset:
    return Dataset(**{field: row[field] for field in _FIELDS})
