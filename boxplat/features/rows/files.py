"""Durable private files: written beside their place, flushed, renamed, and the folder flushed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxplat.core.disk import flush
from boxplat.core.errors import BoxError


def make_private(folder: Path) -> None:
    """The folder and its parents, open to their owner only.

    Raises:
        BoxError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_private(folder.parent)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        flush(folder.parent)
    except OSError as error:
        raise cannot_write(folder, error) from error


def write_all(handle: int, raw: Any) -> int:
    """Every byte, however the system cuts the write up; how many there were."""
    rest = memoryview(raw).cast("B")
    total = len(rest)
    while len(rest):
        rest = rest[os.write(handle, rest[: 1 << 30]) :]
    return total


def replace(path: Path, parts: Iterable[Any]) -> None:
    """Give `path` new contents in one step: whoever reads it sees the old bytes or the new ones.

    Raises:
        BoxError: the disk is full or cannot be written; the old contents are untouched.
    """
    with replacing(path) as handle:
        for part in parts:
            write_all(handle, part)


@contextmanager
def replacing(path: Path) -> Iterator[int]:
    """An open, empty file that becomes `path` at the end, durably; after an error nothing of it is left.

    Raises:
        BoxError: the disk is full or cannot be written; the old contents are untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            yield handle
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(beside, path)
        flush(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> BoxError:
    """The error for a disk that does not take what is written."""
    return BoxError(
        f"cannot write {path}",
        why=f"{error.strerror or error}; what the online store held before is unchanged",
        fix=f"make room or check the permissions: df -h {path.parent}",
    )


def damaged(path: Path, why: str) -> BoxError:
    """The error for a file of the online store that is not as it was written."""
    return BoxError(
        f"{path} is damaged",
        why=why,
        fix=f"remove it and load its view again: rm -r {path.parent} && box features apply && box features materialize",
    )


def other_version(path: Path, found: Any, known: int) -> BoxError:
    """The error for a file of a form that this boxplat does not read."""
    return BoxError(
        f"{path} has another form than this boxplat reads",
        why=f"its version is {found}, this boxplat reads {known}",
        fix=f"load its view again: rm -r {path.parent} && box features apply && box features materialize",
    )
