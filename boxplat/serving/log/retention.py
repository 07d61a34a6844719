"""How long a log is kept: by age and by size, the oldest file first."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from boxplat.serving.log import deletions
from boxplat.serving.log.spool import SUFFIX, claim

_DAY = 86_400.0
_MIB = 2**20


def enforce(folder: Path, days: int, mib: int, now: float | None = None) -> list[Path]:
    """Delete files that are older than `days`, and the oldest ones while all together are larger than `mib`.

    A spool that is being written to stays. Names begin with the time, so that their order is that of age. What was in
    the files is noted beside them (`deletions`).

    Returns:
        What was deleted.
    """
    return _each(folder, days, mib, now, lambda path, why: _noted(folder, path, why))


def due(folder: Path, days: int, mib: int, now: float | None = None) -> list[Path]:
    """What `enforce` would delete."""
    return _each(folder, days, mib, now, lambda path, why: path.suffix != SUFFIX or _idle(path))


def _each(folder: Path, days: int, mib: int, now: float | None, gone: Callable[[Path, str], bool]) -> list[Path]:
    """The files that `gone` is given, with why, and says that they are."""
    oldest = (time.time() if now is None else now) - days * _DAY
    files = []
    for path in sorted(folder.iterdir()):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if not path.name.startswith("."):
            files.append((path, found.st_size, found.st_mtime))
    total = sum(size for _, size, _ in files)
    done = []
    for path, size, modified in files:
        too_old = days > 0 and modified < oldest
        too_large = mib > 0 and total > mib * _MIB
        if (too_old or too_large) and gone(path, "age" if too_old else "size"):
            total -= size
            done.append(path)
    return done


def _idle(spool: Path) -> bool:
    file = claim(spool)
    if file is None:
        return False
    os.close(file)
    return True


def _noted(folder: Path, path: Path, why: str) -> bool:
    noted = deletions.described(path, why)
    if not _deleted(path):
        return False
    deletions.note(folder, noted)
    return True


def _deleted(path: Path) -> bool:
    if path.suffix != SUFFIX:
        path.unlink(missing_ok=True)
        return True
    file = claim(path)
    if file is None:
        return False
    try:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)
