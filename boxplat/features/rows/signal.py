"""How readers in other processes notice a change without a system call: 16 bytes that every reader has mapped."""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path

from boxplat.features.rows import files

_NUMBER = struct.Struct("=Q")
_SIZE = 16


class Signal:
    """A file of two numbers: how often the view was written, and the identity of its manifest.

    They are only a hint that there is something new to read. Numbers that a crash of the machine left behind do no
    harm: whoever opens a view reads all of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers: memoryview | None = None

    def count(self) -> int:
        """How often the view was written; -2 where that is not known."""
        numbers = self._numbers
        if numbers is None:
            numbers = self._map()
            if numbers is None:
                return -2
        return numbers[0]

    def manifest(self) -> int:
        """Identity of the manifest that the last writer left; -2 where that is not known."""
        return -2 if self._numbers is None else self._numbers[1]

    def forget(self) -> None:
        """Look for the file again at the next `count`."""
        self._numbers = None

    def _map(self) -> memoryview | None:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if os.fstat(handle).st_size < _SIZE:
                return None
            self._numbers = memoryview(mmap.mmap(handle, _SIZE, access=mmap.ACCESS_READ)).cast("Q")
            return self._numbers
        finally:
            os.close(handle)

    def create(self) -> None:
        """Make sure that the file is there, and has its room on the disk, before anything is changed."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(handle).st_size < _SIZE:
                    os.pwrite(handle, bytes(_SIZE), 0)
            finally:
                os.close(handle)
        except OSError as error:
            raise files.cannot_write(self._path, error) from error

    def raise_(self, manifest: int) -> None:
        """Tell the readers; the caller holds the writer lock. Not through a map: a full disk would kill the process."""
        # What was written is durable by now; a signal that fails costs other processes a second, no more.
        with suppress(OSError):
            self._raise(manifest)

    def _raise(self, manifest: int) -> None:
        handle = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            (count,) = _NUMBER.unpack(os.pread(handle, 8, 0))
            os.pwrite(handle, _NUMBER.pack(manifest), 8)
            os.pwrite(handle, _NUMBER.pack((count + 1) % 2**63), 0)
        finally:
            os.close(handle)
