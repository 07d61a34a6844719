"""What is leased and who waits: rows that are worth as much as the process they name."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxplat.core import processes
from boxplat.core.claims import Claim, Lease, Waiting
from boxplat.core.state.database import Database, Transaction

_BOOT = Path("/proc/sys/kernel/random/boot_id")
# One that waits and has not looked for this long is stopped or stuck: others need not wait behind it.
_UNSEEN_SECONDS = 10.0
_SEEN_EVERY = 2.0


class Books:
    """Leases and waiting claims in one write transaction, without those whose process is gone.

    Attributes:
        lost: leases whose process ended without giving them back, found at the beginning.
    """

    def __init__(self, tx: Transaction, given_back: int | None = None) -> None:
        self._tx = tx
        self.lost: list[Lease] = []
        self._leave_other_boots()
        if given_back is not None:
            # Before the dead are looked for: its process may have ended as it should.
            self.release(given_back)
        self._reap("lease", self._lost)
        self._reap("waiting", lambda row: None)

    def leases(self) -> list[Lease]:
        return _leases(self._tx.connection)

    def waiting(self) -> list[Waiting]:
        return _waiting(self._tx.connection)

    def grant(self, row: Waiting, devices: tuple[str, ...], ticks: float) -> Lease:
        """Make a lease of a claim that waited or has just come; a clock set back gives no wrong order (ids do)."""
        now = time.time()
        if self._tx.execute("delete from waiting where owner = ? and pid = ?", (row.owner, row.pid)).rowcount:
            self._tx.event(row.owner, "lease.granted", {"waited": round(max(0.0, now - row.since), 3)})
        claim = json.dumps(row.claim.as_dict())
        cursor = self._tx.execute(
            "insert into lease (owner, claim, devices, pid, ticks, since) values (?, ?, ?, ?, ?, ?)",
            (row.owner, claim, json.dumps(devices), row.pid, ticks, now),
        )
        return Lease(int(cursor.lastrowid or 0), row.owner, row.claim, devices, row.pid, now)

    def wait(self, row: Waiting, ticks: float) -> Waiting:
        """Leave or refresh the row of a claim that waits."""
        claim, seen = json.dumps(row.claim.as_dict()), time.monotonic()
        known = self._tx.execute("select * from waiting where owner = ? and pid = ?", (row.owner, row.pid)).fetchone()
        if known is None:
            cursor = self._tx.execute(
                "insert into waiting (owner, claim, position, pid, ticks, since, seen, why, estimate) "
                "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row.owner, claim, row.position, row.pid, ticks, row.since, seen, row.why, row.estimate),
            )
            self._tx.event(row.owner, "lease.waits", {"why": row.why})
            return _with_id(row, int(cursor.lastrowid or 0), row.since)
        if (known["claim"], known["position"]) != (claim, row.position):
            self._changed()
        if known["why"] != row.why or abs(seen - known["seen"]) > _SEEN_EVERY or known["position"] != row.position:
            self._tx.execute(
                "update waiting set claim = ?, position = ?, seen = ?, why = ?, estimate = ? where id = ?",
                (claim, row.position, seen, row.why, row.estimate, known["id"]),
            )
        return _with_id(row, known["id"], known["since"])

    def release(self, lease_id: int) -> None:
        """End a lease; one that has ended is no error."""
        if self._tx.execute("delete from lease where id = ?", (lease_id,)).rowcount:
            self._changed()

    def withdraw(self, owner: str, pid: int) -> None:
        """End the waiting of an owner in a process."""
        if self._tx.execute("delete from waiting where owner = ? and pid = ?", (owner, pid)).rowcount:
            self._changed()

    def hand(self, lease_id: int, pid: int, ticks: float) -> bool:
        """Tie a lease to another process from now on. False: there is no such lease any more."""
        return bool(
            self._tx.execute("update lease set pid = ?, ticks = ? where id = ?", (pid, ticks, lease_id)).rowcount
        )

    def told(self, lease_id: int) -> bool:
        """Remember that its over-use was reported. False: it was before."""
        sql = "update lease set told = 1 where id = ? and not told"
        return bool(self._tx.execute(sql, (lease_id,)).rowcount)

    def event(self, subject: str, kind: str, data: Mapping[str, Any]) -> None:
        self._tx.event(subject, kind, data)

    def keep(self, sample: Mapping[str, Any], used: Mapping[int, tuple[int, int]]) -> None:
        """Store what was just measured; `used` is bytes of memory and of device memory by lease."""
        self._tx.execute("update ledger set sampled = ?, sample = ?", (time.monotonic(), json.dumps(sample)))
        for lease_id, (memory, vram) in used.items():
            self._tx.execute("update lease set used = ?, vram_used = ? where id = ?", (memory, vram, lease_id))

    def _changed(self) -> None:
        """Others have reason to look again: what is granted or asked for makes no room for anybody."""
        self._tx.execute("update ledger set sequence = sequence + 1")

    def _leave_other_boots(self) -> None:
        """Nothing of before a reboot is alive, whatever its numbers."""
        boot = boot_id()
        row = self._tx.execute("select boot from ledger").fetchone()
        if row["boot"] != boot:
            self._tx.execute("delete from lease")
            self._tx.execute("delete from waiting")
            self._tx.execute("update ledger set boot = ?, sampled = null, sequence = sequence + 1", (boot,))

    def _reap(self, table: str, dead: Callable[[sqlite3.Row], None]) -> None:
        for row in self._tx.execute(f"select * from {table}").fetchall():
            if not processes.alive(row["pid"], row["ticks"]):
                self._tx.execute(f"delete from {table} where id = ?", (row["id"],))
                self._changed()
                dead(row)

    def _lost(self, row: sqlite3.Row) -> None:
        self.lost.append(_lease(row))
        self._tx.event(row["owner"], "lease.lost", {"pid": row["pid"]})


class Leases:
    """The ledger's tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def write(self, given_back: int | None = None) -> Iterator[Books]:
        """The books, alone: whoever else wants them waits for the end.

        Args:
            given_back: a lease that ends now; one that has ended is no error.
        """
        with self._database.write() as tx:
            yield Books(tx, given_back)

    def living(self) -> tuple[list[Lease], list[Waiting]]:
        """Those whose process lives; nothing is written."""
        with self._database.read() as db:
            same = db.execute("select boot from ledger").fetchone()["boot"] == boot_id()
            leases, waiting = (_leases(db), _waiting(db)) if same else ([], [])
            alive = {(table, row["id"]) for table in ("lease", "waiting") for row in _living(db, table)}
        return [one for one in leases if ("lease", one.id) in alive], [
            one for one in waiting if ("waiting", one.id) in alive
        ]

    def alive(self) -> bool:
        """Whether every holder lives."""
        with self._database.read() as db:
            return len(_living(db, "lease")) == int(db.execute("select count(*) from lease").fetchone()[0])

    def sequence(self) -> int:
        """Another number when there may be room for others: something ended, or places have changed."""
        with self._database.read() as db:
            return int(db.execute("select sequence from ledger").fetchone()["sequence"])

    def sample(self) -> tuple[float, Mapping[str, Any]] | None:
        """What was measured last on this boot, and how many seconds ago."""
        with self._database.read() as db:
            row = db.execute("select * from ledger").fetchone()
        if row["sampled"] is None or row["boot"] != boot_id():
            return None
        return time.monotonic() - row["sampled"], json.loads(row["sample"])


def boot_id() -> str:
    """Which boot of the machine this is."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _living(db: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    rows = db.execute(f"select id, pid, ticks from {table}").fetchall()
    return [row for row in rows if processes.alive(row["pid"], row["ticks"])]


def _leases(db: sqlite3.Connection) -> list[Lease]:
    return [_lease(row) for row in db.execute("select * from lease order by id").fetchall()]


def _lease(row: sqlite3.Row) -> Lease:
    return Lease(
        id=row["id"],
        owner=row["owner"],
        claim=Claim.from_dict(json.loads(row["claim"])),
        devices=tuple(json.loads(row["devices"])),
        pid=row["pid"],
        since=row["since"],
        used=row["used"],
        vram_used=row["vram_used"],
    )


def _waiting(db: sqlite3.Connection) -> list[Waiting]:
    since = time.monotonic() - _UNSEEN_SECONDS
    rows = db.execute("select * from waiting where seen > ? order by id", (since,)).fetchall()
    return [
        Waiting(
            id=row["id"],
            owner=row["owner"],
            claim=Claim.from_dict(json.loads(row["claim"])),
            since=row["since"],
            pid=row["pid"],
            position=row["position"],
            why=row["why"],
            estimate=row["estimate"],
        )
        for row in rows
    ]


def _with_id(row: Waiting, number: int, since: float) -> Waiting:
    return Waiting(number, row.owner, row.claim, since, row.pid, row.position, row.why, row.estimate)
