"""Log files: the end of one, following one, and keeping one small."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEEP = 3
_CHUNK = 64 * 1024


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file, without reading the whole of it; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start, data = size, b""
            while start > 0 and data.count(b"\n") <= lines:
                start = max(0, start - _CHUNK)
                file.seek(start)
                data = file.read(size - start)
    except OSError:
        return []
    return data.decode(errors="replace").splitlines()[-lines:] if lines > 0 else []


def last_words(path: Path, lines: int) -> str:
    """What a process said last: the end of its log without blank lines; an empty text when there is none."""
    return "\n".join(line for line in tail(path, lines) if line.strip())


def follow(path: Path, offset: int, wait: Callable[[], bool]) -> Iterator[str]:
    """Lines as they are appended after `offset` bytes, across a rotation: the rest of `path.1`, then the new file.

    Args:
        wait: called whenever the end is reached; returns False to stop (after one last look).
    """
    rest, going = b"", True
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < offset:
            *whole, rest = (rest + _from(path.with_name(f"{path.name}.1"), offset)).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
            offset = 0
        if size > offset:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(_CHUNK)
            offset += len(data)
            *whole, rest = (rest + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        elif going:
            going = wait()
        else:
            break
    if rest:
        yield rest.decode(errors="replace")


def _from(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except OSError:
        return b""


def rotate(path: Path, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> bool:
    """Move a log that has grown over `max_bytes` aside as `path.1` (… `path.keep`). Returns whether it did.

    The writer keeps its descriptor (opened for appending), so the file is copied and emptied, not renamed.
    """
    if not path.exists() or path.stat().st_size <= max_bytes:
        return False
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    first = path.with_name(f"{path.name}.1")
    with path.open("rb") as source, open(os.open(first, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
        shutil.copyfileobj(source, target)
        # What was written while the first copy ran: that took long, this does not.
        shutil.copyfileobj(source, target)
    os.truncate(path, 0)
    return True
