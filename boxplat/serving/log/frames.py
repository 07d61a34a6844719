"""The spool's format: frames of a thousand records or so, column by column, each with a checksum.

A frame is `magic, rows, bytes, crc32` and then its columns, each preceded by its length in bytes. Numbers are 64 bits
little-endian; a column of bytes is 32 bits for the length of each value (-1: null) and then the values. A column of
length 0 is nothing but nulls; where the sizes of the bodies are null, they are those of what was kept. Made without
Arrow, which a server that only serves has no use for.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

NUMBERS = ("number", "began", "latency", "status", "batch", "input_bytes", "output_bytes")
TEXTS = ("given", "api", "input", "output", "input_sha256", "output_sha256", "said")
MAGIC = b"BXP1"
_HEAD = struct.Struct("<4sIQ")
_CRC = struct.Struct("<I")
_SIZE = struct.Struct("<Q")


# Buffers that lie one after the other.
Column = list[bytes]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that was read: `columns` by name, each the bytes of its column."""

    rows: int
    columns: dict[str, memoryview]


def numbers(values: Sequence[int], unsigned: bool = False) -> Column:
    """A column of numbers."""
    made = array("Q" if unsigned else "q", values)
    if sys.byteorder == "big":
        made.byteswap()
    return [made.tobytes()]


def texts(values: Sequence[bytes | None]) -> Column:
    """A column of bytes."""
    try:
        lengths = array("i", map(len, values))  # type: ignore[arg-type]
        body = b"".join(values)  # type: ignore[arg-type]
    except TypeError:
        if not any(value is not None for value in values):
            return []
        lengths = array("i", (-1 if value is None else len(value) for value in values))
        body = b"".join(value for value in values if value is not None)
    if sys.byteorder == "big":
        lengths.byteswap()
    return [lengths.tobytes(), body]


def encode(rows: int, columns: Sequence[Column]) -> list[bytes]:
    """A frame of columns, in the order of `NUMBERS` and `TEXTS`, as buffers to be written one after the other."""
    payload: list[bytes] = []
    for column in columns:
        payload.append(_SIZE.pack(sum(map(len, column))))
        payload += column
    head = _HEAD.pack(MAGIC, rows, sum(map(len, payload)))
    crc = zlib.crc32(head)
    for part in payload:
        crc = zlib.crc32(part, crc)
    return [head, _CRC.pack(crc), *payload]


def decode(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a spool from where it stands, up to the first that is cut off or damaged."""
    here = file.tell()
    left = file.seek(0, os.SEEK_END) - here
    file.seek(here)
    while (left := left - _HEAD.size - _CRC.size) >= 0:
        head = file.read(_HEAD.size)
        magic, rows, size = _HEAD.unpack(head)
        (crc,) = _CRC.unpack(file.read(_CRC.size))
        left -= size
        if magic != MAGIC or left < 0:
            return
        payload = file.read(size)
        if zlib.crc32(payload, zlib.crc32(head)) != crc:
            return
        yield Frame(rows, _columns(memoryview(payload)))


def _columns(payload: memoryview) -> dict[str, memoryview]:
    found, at = {}, 0
    for name in (*NUMBERS, *TEXTS):
        (size,) = _SIZE.unpack_from(payload, at)
        at += _SIZE.size
        found[name] = payload[at : at + size]
        at += size
    return found
