"""One supervisor per box: a file lock, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import TextIO

from boxplat.core.environment import user
from boxplat.core.model import Supervisor
from boxplat.core.paths import Paths
from boxplat.core.processes import memory

_TRIES = 100
_PAUSE = 0.01


class Lock:
    """An exclusive lock that the kernel frees when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def acquire(self) -> bool:
        """Take the lock and write down who has it. Returns False when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        # Somebody who only looks (`holder`) shares the lock for an instant; that must not cost us the box.
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_PAUSE)
        else:
            os.close(descriptor)
            return False
        self._file = os.fdopen(descriptor, "r+")
        self._file.truncate(0)
        json.dump({"pid": os.getpid(), "started": time.time(), "by": user()}, self._file)
        self._file.flush()
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def holder(paths: Paths) -> Supervisor | None:
    """The supervisor that runs this box, or None."""
    try:
        descriptor = os.open(paths.lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        pass
    finally:
        text = os.read(descriptor, 4096).decode(errors="replace")
        os.close(descriptor)
    try:
        facts = json.loads(text)
        return Supervisor(facts["pid"], facts["started"], facts["by"], memory(facts["pid"]))
    except (ValueError, KeyError, TypeError):
        # The lock is held but its owner has not written its name yet.
        return Supervisor(0, time.time(), "unknown")
