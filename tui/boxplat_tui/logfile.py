"""Following a log file by offset, at most one chunk a read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from boxplat_tui.lines import LineSplitter

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """New lines of a log.

    `restarted`: the file is another one now; `skipped`: bytes left out before the first line; `more`: there is more.
    """

    lines: tuple[str, ...]
    restarted: bool = False
    skipped: int = 0
    more: bool = False


class LogFile:
    """A growing file, read from its last 64 KiB on. It may not exist yet, and may be rotated while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = self._offset = 0
        self._inode: int | None = None
        self._splitter = LineSplitter()

    def read(self) -> Chunk:
        """What was appended since the last read, at most 64 KiB of it.

        Raises:
            OSError: the file is there and cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return self._read(file.fileno())
        except FileNotFoundError:
            return Chunk(())

    def earlier(self) -> tuple[list[str], int]:
        """Up to 256 KiB of whole lines before all that was read so far, and how many bytes there are before those.

        Raises:
            OSError: the file cannot be read.
        """
        start = max(self._begin - 4 * CHUNK, 0)
        with self.path.open("rb") as file:
            data = os.pread(file.fileno(), self._begin - start, start)
        if start:
            cut = data.find(b"\n") + 1
            data, start = data[cut:], start + cut
        self._begin = start
        return LineSplitter().feed(data), start

    def _read(self, descriptor: int) -> Chunk:
        status = os.fstat(descriptor)
        restarted = self._inode is not None and (status.st_ino != self._inode or status.st_size < self._offset)
        skipped = 0
        if self._inode is None or restarted:
            skipped = self._begin = self._offset = max(0, status.st_size - CHUNK)
            self._inode, self._splitter = status.st_ino, LineSplitter()
        data = os.pread(descriptor, CHUNK, self._offset)
        if skipped:
            self._begin = self._offset + data.find(b"\n") + 1
        self._offset += len(data)
        lines = self._splitter.feed(data) if data else self._splitter.flush()
        return Chunk(tuple(lines[1:] if skipped else lines), restarted, skipped, self._offset < status.st_size)
