"""One writer at a time: a file lock that says who holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.rows import files

_LONGEST_NAP = 0.05
_WIDTH = 20


@contextmanager
def locked(path: Path, what: str, timeout_s: float) -> Iterator[None]:
    """Hold the lock file `path`, which is made when missing and never removed.

    Args:
        what: what is being done, for the error.
        timeout_s: how long to wait for another holder; 0: not at all.

    Raises:
        BoxError: another process (or thread) still holds it, or the disk is full.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise files.cannot_write(path, error) from error
    try:
        _acquire(handle, path, what, timeout_s)
        _sign(handle, path)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, what: str, timeout_s: float) -> None:
    deadline, nap = time.monotonic() + timeout_s, 0.0005
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _busy(handle, path, what, timeout_s) from None
        time.sleep(min(nap, left))
        nap = min(nap * 2, _LONGEST_NAP)


def _sign(handle: int, path: Path) -> None:
    """Leave the holder's pid, unless it is there already."""
    signature = f"{os.getpid():<{_WIDTH}}".encode()
    if os.pread(handle, _WIDTH, 0) != signature:
        try:
            os.pwrite(handle, signature, 0)
        except OSError as error:
            raise files.cannot_write(path, error) from error


def _busy(handle: int, path: Path, what: str, timeout_s: float) -> BoxError:
    pid = os.pread(handle, _WIDTH, 0).decode(errors="replace").strip() or "unknown"
    return BoxError(
        f"cannot {what}: another process is writing",
        why=f"process {pid} holds {path}; waited {timeout_s:g} s",
        fix=f"wait for it, or look what it does: ps -fp {pid}",
        code=ExitCode.TIMED_OUT,
    )
