"""Checks of the files: folder, modes, SQLite, and whether the databases are whole."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import psutil

from boxplat.core.state import witness
from boxplat.core.state.record import RUNBOOK
from boxplat.core.state.verification import verify_file
from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, skip, warn

OLDEST_SQLITE = (3, 35, 0)
# Bytes that a slow disk can read within the time of a check.
LARGEST = 256 * 1024**2
# Named in one finding.
_FAULTS = 10
NETWORK = frozenset({"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"})


def writable(site: Site) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=site.folder):
            return ok(f"{site.folder} can be written")
    except OSError as error:
        return fail(
            f"{site.folder} cannot be written: {error.strerror}",
            f"chmod u+rwx {site.folder}   (or work on a copy in a folder of your own)",
        )


def private(site: Site) -> Finding:
    state = site.project.state
    if not state.exists():
        return skip(".box does not exist yet: `box up` makes it")
    found = state.stat()
    if found.st_uid != os.getuid():
        return fail(f"{state} belongs to user {found.st_uid}", f"sudo chown -R {os.getuid()} {state}")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return fail(f"{state} is open to others (mode {mode:04o})", f"chmod 700 {state}")
    return ok(f"{state} is private (mode {mode:04o})")


def sqlite_version(_: Site) -> Finding:
    return judge_sqlite(sqlite3.sqlite_version_info)


def judge_sqlite(found: tuple[int, ...]) -> Finding:
    text = f"SQLite {'.'.join(map(str, found))}"
    if found < OLDEST_SQLITE:
        return fail(f"{text}: 3.35 or newer is needed", "use a Python that brings a newer SQLite")
    return ok(text)


def wal(site: Site) -> Finding:
    """Write-ahead logging needs shared memory and locks that network file systems promise and do not keep."""
    state = site.project.state
    where = state if state.exists() else site.folder
    kind = file_system(where)
    if kind in NETWORK:
        return fail(
            f"{where} is on a network file system ({kind}): databases break there",
            _move(site),
        )
    try:
        with tempfile.TemporaryDirectory(dir=where, prefix=".doctor-") as folder:
            problem = try_wal(Path(folder) / "wal.db")
    except OSError as error:
        return skip(f"{where} cannot be written: {error.strerror}")
    if problem:
        return fail(f"write-ahead logging does not work in {where}: {problem}", _move(site))
    return ok(f"a reader reads while a writer writes in {where} ({kind})")


def _move(site: Site) -> str:
    return f"box down; mv {site.folder} /path/on/a/local/disk"


def try_wal(file: Path) -> str:
    """Read from one connection while another writes; returns what went wrong, or an empty string."""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            if writer.execute("pragma journal_mode = wal").fetchone()[0] != "wal":
                return "SQLite refuses it"
            writer.execute("pragma user_version = 1")
            writer.execute("begin immediate")
            writer.execute("pragma user_version = 2")
            with closing(sqlite3.connect(file, timeout=1)) as reader:
                seen = reader.execute("pragma user_version").fetchone()[0]
            writer.execute("commit")
    except sqlite3.Error as error:
        return str(error)
    return "" if seen == 1 else "a reader sees what was not committed"


def file_system(path: Path) -> str:
    """The type of the file system that holds a path, `unknown` if it cannot be told."""
    target = path.resolve()
    mounts = [entry for entry in psutil.disk_partitions(all=True) if target.is_relative_to(entry.mountpoint)]
    return max(mounts, key=lambda entry: len(entry.mountpoint)).fstype if mounts else "unknown"


def state_whole(site: Site) -> Finding:
    database = site.project.database
    return judge_database(
        database,
        f"box down; mv {database} {database}.damaged && box up   (docs/runbooks/corrupt-box-db.md)",
    )


def tracking_whole(site: Site) -> Finding:
    database = site.project.mlflow / "mlflow.db"
    return judge_database(
        database, f"box down; cp {database} {database}.damaged   (then docs/runbooks/corrupt-box-db.md)"
    )


def judge_database(file: Path, fix: str) -> Finding:
    """SQLite's own quick check, read only: nothing is made, changed or deleted."""
    if not file.exists():
        return skip(f"{file.name} does not exist yet")
    size = file.stat().st_size
    if size > LARGEST:
        return skip(
            f"{file.name} is too large to check here; do it in a quiet hour: sqlite3 {file} 'pragma quick_check'"
        )
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=2)) as connection:
            found = [row[0] for row in connection.execute("pragma quick_check(3)")]
    except sqlite3.Error as error:
        if "unable to open" in str(error):
            # Not damaged: a read-only disk, or no permission. Moving it aside would be the wrong advice.
            return fail(f"{file} cannot be opened", f"chmod -R u+rwX {file.parent}   (a read-only disk: remount it)")
        return fail(f"{file} cannot be read: {error}", fix)
    if found != ["ok"]:
        return fail(f"{file} is damaged: {'; '.join(map(str, found))}", fix)
    return ok(f"{file.name} is whole, {size / 1024**2:.1f} MiB")


def record(site: Site) -> Finding:
    """The record of releases and decisions: every entry as it was appended, none missing, moved or added."""
    database = site.project.database
    if not database.exists():
        return skip(f"{database.name} does not exist yet")
    try:
        found = verify_file(database)
    except sqlite3.Error as error:
        return skip(f"{database.name} cannot be read: {error}")
    if found is None:
        return skip(f"{database.name} is from before there was a record: `box up` begins it")
    if found:
        last = f", the last is {found.head.number} {found.head.hash}" if found.head else ""
        return ok(f"{found.entries} entries, each as it was appended{last}")
    named = "; ".join(map(str, found.faults[:_FAULTS]))
    more = f"; and {len(found.faults) - _FAULTS} more" if len(found.faults) > _FAULTS else ""
    state = site.project.state
    keep = f"cp -a {state}/box.db* {witness.place(database)} SAFE_FOLDER   (then {RUNBOOK})"
    lags = all(fault.what == "witness" for fault in found.faults)
    return (warn if lags else fail)(f"{named}{more}", keep)


PROBES = (
    Probe("BOX-DSK-01", "project folder", writable),
    Probe("BOX-DSK-02", "private state", private, needs_project=True),
    Probe("BOX-DSK-03", "SQLite version", sqlite_version),
    Probe("BOX-DSK-04", "write-ahead logging", wal, needs_project=True),
    Probe("BOX-DSK-05", "state database", state_whole, needs_project=True, seconds=8.0),
    Probe("BOX-DSK-06", "tracking database", tracking_whole, needs_project=True, seconds=8.0),
    Probe("BOX-DSK-07", "record", record, needs_project=True, seconds=8.0),
)
