"""One at a time: flows that make the same files, by hand and by the clock, wait for each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flights.paths import data_folder


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of the data folder; it ends with the process that holds it."""
    descriptor = os.open(data_folder() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
