"""Feast's registry file without Feast: what it declares, as one fingerprint that materializing does not change.

The file is one Protocol Buffers message, walked by its wire format
(https://protobuf.dev/programming-guides/encoding/); nothing in it is interpreted or executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

# Field numbers of feast.core.Registry whose messages have what was declared in field 1, `spec` …
_SPECS: dict[int, tuple[int, ...]] = {1: (), 6: (4, 6), 7: (), 8: (3, 5), 14: (4, 6), 19: (4, 6)}
# … and, of field 2, `meta`, the fields that say which version is served and in which state it is.
_SOURCES, _SOURCE_META = 12, 50
_SPEC, _META = 1, 2
# States in which a view is served: none, MATERIALIZING (its rows are swapped at once), AVAILABLE_ONLINE.
_SERVED = (b"\x00", b"\x03", b"\x04")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Parsed = tuple[int, int, bytes]


def fingerprint(path: Path) -> str | None:
    """A digest of the entities, views, services and sources that a registry file declares.

    Left out are the times of applying and of materializing, the order of the objects, and the order within maps.

    Returns:
        None: the file is missing or not a registry.
    """
    try:
        # Materializing a view moves it to the end.
        objects = sorted(_digest(number, value) for number, _, value in _fields(path.read_bytes()))
        return hashlib.sha256(b"".join(objects)).hexdigest()
    except (OSError, ValueError, IndexError, RecursionError):
        return None


def _digest(number: int, value: bytes) -> bytes:
    """What one top-level field declares; of fields that declare nothing, always the same."""
    digest = hashlib.sha256()
    for part in _declared(number, value):
        digest.update(b"%d:%d:" % (number, len(part)) + part)
    return digest.digest()


def _declared(number: int, value: bytes) -> Iterator[bytes]:
    if number == _SOURCES:
        kept = [field for field in _fields(value) if field[0] != _SOURCE_META]
        yield _written(kept)
    elif number in _SPECS:
        for inner, _, part in _fields(value):
            if inner == _SPEC:
                yield _canonical(part)
            elif inner == _META:
                told = ((meta, kept) for meta, _, kept in _fields(part) if meta in _SPECS[number])
                yield from (b"%d:" % meta + kept for meta, kept in told if kept not in _SERVED)


def _canonical(data: bytes) -> bytes:
    """A message with its maps in order; what is no message stays as it is."""
    try:
        return _written(list(_fields(data)))
    except (ValueError, IndexError):
        return data


def _written(fields: list[Parsed]) -> bytes:
    out = []
    for number, run in groupby(fields, key=lambda field: field[0]):
        several = list(run)
        values = [_canonical(value) if kind == _BYTES else value for _, kind, value in several]
        if len(values) > 1 and all(map(_is_entry, several)):
            values.sort()
        out += [b"%d:%d:" % (number, len(value)) + value for value in values]
    return b"".join(out)


def _is_entry(field: Parsed) -> bool:
    """Whether a field may be one entry of a map from text to text or to a message."""
    if field[1] != _BYTES:
        return False
    try:
        parts = [(number, kind) for number, kind, _ in _fields(field[2])]
    except (ValueError, IndexError):
        return False
    return parts in ([(1, _BYTES), (2, _BYTES)], [(1, _BYTES)])


def _fields(data: bytes) -> Iterator[Parsed]:
    """Number, wire type and raw value of each field of a message.

    Raises:
        ValueError, IndexError: the bytes are no message.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        start = at
        kind = tag & 7
        if kind == _BYTES:
            size, start = _varint(data, at)
            at = start + size
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"no field of kind {kind}")
        if at > len(data):
            raise ValueError("a field is cut short")
        yield tag >> 3, kind, data[start:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
