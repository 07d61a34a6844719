"""The file that one worker appends its records to, locked for as long as it does.

The lock is the claim: a spool that can be locked is complete, or its worker has died, and whoever locks it may turn it
into Parquet. What was written survives the process, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

SUFFIX = ".spool"
# Of one write: systems take 1024.
_MOST_BUFFERS = 512


class Spool:
    """An open spool.

    Args:
        facts: what holds for all of its records; its first line, as JSON.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.began = time.monotonic()
        self.path, self._file = _claimed(folder)
        self.size = 0
        try:
            self.append([json.dumps(dict(facts)).encode() + b"\n"])
        except OSError:
            self.close()
            raise

    def append(self, parts: Sequence[bytes]) -> None:
        """Add a frame, or nothing of it.

        Raises:
            OSError: no space, or the file was deleted (FileNotFoundError).
        """
        if os.fstat(self._file).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        total = 0
        try:
            for i in range(0, len(parts), _MOST_BUFFERS):
                some = parts[i : i + _MOST_BUFFERS]
                _write(self._file, some)
                total += sum(map(len, some))
        except OSError:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += total

    def close(self) -> None:
        """Leave it to whoever makes Parquet of it."""
        # Nothing can be done about a file system that complains at the end; a reader keeps what is whole.
        with suppress(OSError):
            # A process that was forked meanwhile holds the same lock, which closing would leave to it.
            fcntl.flock(self._file, fcntl.LOCK_UN)
        with suppress(OSError):
            os.close(self._file)


def claim(path: Path) -> int | None:
    """Lock a spool that nobody writes to; returns its descriptor, or None where somebody has it or it is gone."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if _locked(file, path):
        return file
    os.close(file)
    return None


def _claimed(folder: Path) -> tuple[Path, int]:
    """A new spool of our own. Another process may find it before we have locked it, and remove it as empty."""
    while True:
        path = folder / f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if _locked(file, path):
            return path, file
        os.close(file)


def _locked(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _write(file: int, parts: Sequence[bytes]) -> None:
    """All of it: a call may write less where the disk is nearly full."""
    rest = [memoryview(part) for part in parts]
    while rest:
        written = os.writev(file, rest)
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][written:]
