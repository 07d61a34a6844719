"""The append-only file of pushed rows.

A header (`BOXPUSH1`, uint32 version, uint32 length and CRC-32 of the layout's JSON, the JSON), then records: uint32
length of the payload, uint32 CRC-32 of it, uint32 CRC-32 of these two numbers, payload. A payload is uint32 rows,
uint32 padding, then sort keys, records and heap of a `Block`. A last record that is cut short was never acknowledged:
readers ignore it and the next writer removes it. One that is whole and does not match its checksum is damage.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import time
import weakref
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from boxplat.features.rows import block, files
from boxplat.features.rows.layout import Layout

MAGIC = b"BOXPUSH1"
VERSION = 1
_PREFIX = struct.Struct("<8sIII")
_RECORD = struct.Struct("<III")
_ABOUT = struct.Struct("<II")
_ROWS = struct.Struct("<II")
_NAPS = (0.001, 0.01, 0.0)


class PushLog:
    """One log file, open for reading; `end` is where its whole records end, as far as they have been read."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError, or BoxError when its header is damaged."""
        self.path = path
        self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.layout, self.start = _read_header(path, self.handle)
        except BaseException:
            os.close(self.handle)
            raise
        self.end = self.start
        weakref.finalize(self, os.close, self.handle)

    def unread(self) -> list[block.Block]:
        """The rows that were appended since the last call, oldest first.

        Raises:
            BoxError: a whole record does not match its checksum: not cut short by a kill, but damaged.
        """
        found: list[block.Block] = []
        while True:
            payload = self._next()
            if payload is None:
                return found
            found.append(_unpack(self.layout, payload))
            self.end += _RECORD.size + len(payload)

    def _next(self) -> bytes | None:
        """The payload at `end`, None where no whole one is (yet)."""
        for nap in _NAPS:
            raw = os.pread(self.handle, _RECORD.size, self.end)
            if len(raw) < _RECORD.size or not any(raw):
                return None
            length, crc, own = _RECORD.unpack(raw)
            if zlib.crc32(raw[: _ABOUT.size]) == own:
                payload = os.pread(self.handle, length, self.end + _RECORD.size)
                if len(payload) < length:
                    return None
                if zlib.crc32(payload) == crc:
                    return payload
            # It may be another writer's that is replacing a cut one just now.
            time.sleep(nap)
        raise files.damaged(self.path, f"the record at byte {self.end} does not match its checksum")

    def rows(self) -> list[block.Block]:
        """All rows up to `end`, oldest first."""
        again = PushLog(self.path)
        return again.unread()


def create(path: Path, layout: Layout) -> None:
    """An empty log for rows of this layout."""
    text = json.dumps(layout.to_json()).encode()
    files.replace(path, [_PREFIX.pack(MAGIC, VERSION, len(text), zlib.crc32(text)), text])


def _read_header(path: Path, handle: int) -> tuple[Layout, int]:
    raw = os.pread(handle, _PREFIX.size, 0)
    if len(raw) < _PREFIX.size or raw[:8] != MAGIC:
        raise files.damaged(path, "it does not begin as a log of pushed rows does")
    _, version, length, crc = _PREFIX.unpack(raw)
    if version != VERSION:
        raise files.other_version(path, version, VERSION)
    text = os.pread(handle, length, _PREFIX.size)
    if zlib.crc32(text) != crc:
        raise files.damaged(path, "its header does not match its checksum")
    return Layout.from_json(json.loads(text)), _PREFIX.size + length


def append(log: PushLog, rows: block.Block) -> None:
    """Add rows after the last whole record; they are on the disk when this returns.

    The caller holds the writer's lock and has read the log to its end.

    Raises:
        BoxError: the disk is full or cannot be written; the log is as it was.
    """
    try:
        payload = _pack(rows)
        handle = os.open(log.path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise files.cannot_write(log.path, error) from error
    length, crc = len(payload), zlib.crc32(payload)
    record = _RECORD.pack(length, crc, zlib.crc32(_ABOUT.pack(length, crc))) + payload
    try:
        if os.fstat(handle).st_size != log.end:
            os.ftruncate(handle, log.end)
        os.lseek(handle, log.end, os.SEEK_SET)
        files.write_all(handle, record)
        os.fdatasync(handle)
    except OSError as error:
        # Else the next writer cuts it.
        with suppress(OSError):
            os.ftruncate(handle, log.end)
        raise files.cannot_write(log.path, error) from error
    finally:
        os.close(handle)


def _pack(rows: block.Block) -> bytes:
    rows = block.compact(rows)
    payload = b"".join((_ROWS.pack(len(rows), 0), rows.sort.tobytes(), rows.records.tobytes(), rows.heap.tobytes()))
    if len(payload) >= 1 << 32:
        raise OSError(errno.EFBIG, "one push is larger than 4 GiB: load it instead")
    return payload


def _unpack(layout: Layout, payload: bytes) -> block.Block:
    count, _ = _ROWS.unpack_from(payload)
    records_at = _ROWS.size + 8 * count
    heap_at = records_at + layout.dtype.itemsize * count
    sort = np.frombuffer(payload, np.uint64, count, _ROWS.size)
    records = np.frombuffer(payload, layout.dtype, count, records_at)
    return block.Block(layout, sort, records, np.frombuffer(payload, np.uint8, -1, heap_at))
