"""An immutable file of rows sorted by key, read through a memory map.

Form, version 1, little-endian: `BOXROWS1`, uint32 version, uint32 length and uint32 CRC-32 of the header, the header
(JSON: rows, layout, and offset, length and CRC-32 of each section), then the sections `sort`, `starts`, `records` and
`heap`, each beginning at a multiple of 64 bytes.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from boxplat.features.rows import block, buckets, files, heap
from boxplat.features.rows.keys import Key, Keys
from boxplat.features.rows.keysets import KeySet, keyset_of
from boxplat.features.rows.layout import Layout, Records

MAGIC = b"BOXROWS1"
VERSION = 1
_PREFIX = struct.Struct("<8sIII")
# Up to so many keys a plain binary search is quicker than the buckets' fixed cost.
_FEW = 40
_SECTIONS = ("sort", "starts", "records", "heap")


@dataclass
class Segment(block.Block):
    """Rows sorted by `sort`, with unique keys, in a file that never changes.

    Attributes:
        starts: where each bucket of `sort` begins, see `buckets`.
        newest_us: the newest event time, None without rows.
        size: of the file, in bytes.
        keyset: shared by the segments whose `sort` is the same.
    """

    starts: buckets.Starts
    path: Path
    size: int
    newest_us: int | None
    mapped: mmap.mmap
    keyset: KeySet

    @cached_property
    def voids(self) -> Records:
        """The records as plain bytes, which NumPy gathers several times faster."""
        return self.records.view(f"V{self.records.itemsize}")

    @cached_property
    def views(self) -> tuple[memoryview, memoryview, int]:
        """`sort` and `starts` for `find_one`, and the number of bits of a bucket."""
        return self.sort.data, self.starts.data, len(self.starts).bit_length() - 1

    @cached_property
    def memory(self) -> memoryview:
        """The records, for `Layout.packed`."""
        return self.records.view(np.uint8).data

    def find_one(self, key: Key) -> int:
        """The row of one key, -1 where there is none."""
        sort, starts, bits = self.views
        bucket = key.sort >> (64 - bits)
        for at in range(starts[bucket], starts[bucket + 1]):
            if sort[at] == key.sort and (key.raw is None or self.key_at(at) == key.raw):
                return at
        return -1

    def key_at(self, at: int) -> bytes:
        """The key bytes of one row."""
        start, length = self._spot.unpack_from(self.memory, at * self.layout.packed.size)
        return self.heap[start : start + length].tobytes()

    @cached_property
    def _spot(self) -> struct.Struct:
        """Start and length of the key bytes in a record."""
        fields: Any = self.layout.dtype.fields
        start, length = fields["ks"][1], fields["kn"][1]
        return struct.Struct(f"<{start}xq{length - start - 8}xI")

    def rest(self) -> None:
        """Let go of the memory that the file was read into; the system keeps what it has room for."""
        self.mapped.madvise(mmap.MADV_DONTNEED)


def find(rows: block.Block, keys: Keys) -> block.Index:
    """int64 [N]: where each key is among rows sorted by `sort`, -1 where it is not. Null keys are nowhere."""
    at, found = look_up(rows, keys)
    at[~found] = -1
    return at


def look_up(rows: block.Block, keys: Keys) -> tuple[block.Index, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Where each key is, and whether it is there; what is said of absent keys means nothing."""
    if not len(rows):
        return np.zeros(len(keys.sort), np.int64), np.zeros(len(keys.sort), bool)
    at, found = _hashes(rows, keys)
    if keys.starts is not None:
        _verify(rows, keys, at, found)
    if keys.valid is not None:
        found &= keys.valid
    return at, found


def _hashes(rows: block.Block, keys: Keys) -> tuple[block.Index, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The first row with the hash of each key, and whether there is one; for the same keys looked up once."""
    shared = rows.keyset if isinstance(rows, Segment) else None
    if shared is not None and keys.places is not None and keys.places[0] is shared:
        return keys.places[1].copy(), keys.places[2].copy()
    if isinstance(rows, Segment) and len(keys.sort) > _FEW:
        at, found = buckets.find(rows.sort, rows.starts, keys.sort)
    else:
        at = rows.sort.searchsorted(keys.sort)
        found = rows.sort.take(at, mode="clip") == keys.sort
    if shared is not None:
        keys.places = shared, at.copy(), found.copy()
    return at, found


def _verify(rows: block.Block, keys: Keys, at: block.Index, found: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    """Compare the key bytes; where another key has the same hash, look at the rows after it."""
    assert keys.starts is not None and keys.lengths is not None and keys.heap is not None
    live = np.flatnonzero(found)
    while len(live):
        starts, lengths = rows.key_bytes(at[live])
        same = heap.equal(rows.heap, starts, lengths, keys.heap, keys.starts[live], keys.lengths[live])
        live = live[~same]
        following = at[live] + 1
        more = following < len(rows)
        more[more] = rows.sort[following[more]] == keys.sort[live[more]]
        found[live[~more]] = False
        live = live[more]
        at[live] += 1


def write(path: Path, rows: block.Block) -> int:
    """Write sorted rows with unique keys as a segment file; its size. The file appears whole or not at all.

    Raises:
        BoxError: the disk is full or cannot be written.
    """
    newest_us = int(rows.records["event"].max()) if len(rows) else None
    return stream(path, rows.layout, rows.sort, [rows.records], [rows.heap], newest_us)


def stream(
    path: Path,
    layout: Layout,
    sort: np.ndarray[tuple[int], np.dtype[Any]],
    records: Iterable[Records],
    heaps: Sequence[heap.Bytes],
    newest_us: int | None,
) -> int:
    """`write`, with the records in pieces of which only one is in memory at a time.

    Args:
        sort: as in `Block`.
        records: all N records, in order.
        heaps: the parts of the heap, one after the other.
        newest_us: the newest event time, None without rows.
    """
    starts = buckets.starts_of(sort)
    lengths = {
        "sort": sort.nbytes,
        "starts": starts.nbytes,
        "records": len(sort) * layout.dtype.itemsize,
        "heap": sum(map(len, heaps)),
    }
    # As wide as any value, so that the header does not grow when it is known.
    sections = {name: {"length": length, "offset": 2**52, "crc": 2**32} for name, length in lengths.items()}
    header: dict[str, Any] = {
        "rows": len(sort),
        "newest_us": newest_us,
        "layout": layout.to_json(),
        "sections": sections,
    }
    room = _round(_PREFIX.size + len(json.dumps(header)))
    given: dict[str, Iterable[Any]] = {"sort": [sort], "starts": [starts], "records": records, "heap": heaps}
    at = room
    with files.replacing(path) as handle:
        os.lseek(handle, room, os.SEEK_SET)
        for name in _SECTIONS:
            sections[name].update(offset=at, crc=_pour(handle, given[name]))
            files.write_all(handle, bytes(-lengths[name] % 64))
            at = _round(at + lengths[name])
        text = json.dumps(header).encode().ljust(room - _PREFIX.size)
        os.pwrite(handle, _PREFIX.pack(MAGIC, VERSION, len(text), zlib.crc32(text)) + text, 0)
    return at


def _pour(handle: int, pieces: Iterable[Any]) -> int:
    """Write arrays one after the other; the CRC-32 of all of them."""
    crc = 0
    for piece in pieces:
        raw = np.ascontiguousarray(piece).view(np.uint8)
        crc = zlib.crc32(raw.data, crc)
        files.write_all(handle, raw)
    return crc


def _round(size: int) -> int:
    return size + -size % 64


def open_segment(path: Path) -> Segment:
    """Map a segment file and check all of it.

    Raises:
        FileNotFoundError: there is no such file (any more).
        BoxError: it is damaged or of another version.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        if size < _PREFIX.size:
            raise files.damaged(path, f"it has only {size} bytes")
        mapped = mmap.mmap(handle, size, access=mmap.ACCESS_READ)
    finally:
        os.close(handle)
    header = _read_header(path, mapped)
    sections = [_section(path, mapped, name, header["sections"][name]) for name in _SECTIONS]
    layout = Layout.from_json(header["layout"])
    sort, (starts, records, raw) = sections[0].view(np.uint64), sections[1:]
    return Segment(
        layout,
        sort,
        records.view(layout.dtype),
        raw,
        starts=starts.view(np.uint32),
        path=path,
        size=size,
        newest_us=header["newest_us"],
        mapped=mapped,
        keyset=keyset_of(sort, header["sections"]["sort"]["crc"]),
    )


def _read_header(path: Path, mapped: mmap.mmap) -> dict[str, Any]:
    magic, version, length, crc = _PREFIX.unpack_from(mapped)
    if magic != MAGIC:
        raise files.damaged(path, "it does not begin as a file of rows does")
    if version != VERSION:
        raise files.other_version(path, version, VERSION)
    text = mapped[_PREFIX.size : _PREFIX.size + length]
    if zlib.crc32(text) != crc:
        raise files.damaged(path, "its header does not match its checksum")
    header: dict[str, Any] = json.loads(text)
    return header


def _section(path: Path, mapped: mmap.mmap, name: str, about: dict[str, int]) -> heap.Bytes:
    if about["offset"] + about["length"] > len(mapped):
        raise files.damaged(path, f"it is cut short: {len(mapped)} bytes")
    raw = np.frombuffer(mapped, np.uint8, about["length"], about["offset"])
    if zlib.crc32(raw.data) != about["crc"]:
        raise files.damaged(path, f"its section {name!r} does not match its checksum")
    return raw
