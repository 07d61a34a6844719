"""Any Python value that Feast can hold, as tagged bytes and back: the form of maps, structs and nested lists.

A value is one tag byte and its payload; lengths are little-endian uint32. Nothing is ever evaluated or unpickled.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COUNT = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")
_INT = struct.Struct("<q")


def microseconds(moment: datetime) -> int:
    """Microseconds since the epoch; a naive moment is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // _MICROSECOND


def moment_of(us: int, zone: str = "") -> datetime:
    """The moment `us` microseconds after the epoch, in `zone` (`UTC` when empty)."""
    moment = EPOCH + timedelta(microseconds=us)
    return moment.astimezone(zone_of(zone)) if zone not in ("", "UTC") else moment


def zone_of(name: str) -> timezone | ZoneInfo:
    """A zone by its name (`Europe/Rome`) or offset (`+05:30`, `UTC-07:00`).

    Raises:
        ValueError: neither.
    """
    offset = name.removeprefix("UTC").removeprefix("GMT")
    if not offset:
        return UTC
    if offset[0] in "+-":
        parsed = datetime.strptime(offset, "%z").tzinfo
        return parsed if isinstance(parsed, timezone) else UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:
        raise ValueError(f"no time zone {name!r}") from error


def pack(value: Any) -> bytes:
    """The bytes of a value.

    Raises:
        TypeError: a value of a class that Feast cannot hold.
    """
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def unpack(raw: bytes) -> Any:
    """The value that `pack` was given; tuples come back as lists.

    Raises:
        ValueError: the bytes are damaged.
    """
    try:
        value, end = _read(raw, 0)
    except (IndexError, struct.error, KeyError) as error:
        raise ValueError(f"damaged value: {error}") from error
    if end != len(raw):
        raise ValueError(f"damaged value: {len(raw) - end} bytes too many")
    return value


def _sized(tag: bytes, raw: bytes, out: list[bytes]) -> None:
    out += (tag, _COUNT.pack(len(raw)), raw)


def _many(tag: bytes, values: Iterable[Any], out: list[bytes]) -> None:
    items = list(values)
    out += (tag, _COUNT.pack(len(items)))
    for item in items:
        _write(item, out)


def _write(value: Any, out: list[bytes]) -> None:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None:
        out.append(b"N")
        return
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            write(value, out)
            return
    raise TypeError(f"a feature cannot hold a {type(value).__name__}: {value!r:.60}")


def _write_int(value: int, out: list[bytes]) -> None:
    if -(2**63) <= value < 2**63:
        out += (b"i", _INT.pack(value))
    else:
        _sized(b"I", str(value).encode(), out)


def _write_moment(value: datetime, out: list[bytes]) -> None:
    zone = str(value.tzinfo or "")
    _sized(b"t", _INT.pack(microseconds(value)) + (b"" if zone == "UTC" else zone.encode()), out)


def _write_map(value: dict[Any, Any], out: list[bytes]) -> None:
    _many(b"m", (part for item in value.items() for part in item), out)


# In this order: a bool is an int, a datetime is a date.
_WRITERS: tuple[tuple[Any, Callable[[Any, list[bytes]], None]], ...] = (
    (bool, lambda value, out: out.append(b"T" if value else b"F")),
    (str, lambda value, out: _sized(b"s", value.encode(), out)),
    (int, _write_int),
    (float, lambda value, out: out.extend((b"d", _DOUBLE.pack(value)))),
    (bytes | bytearray | memoryview, lambda value, out: _sized(b"b", bytes(value), out)),
    (datetime, _write_moment),
    (date, lambda value, out: _sized(b"D", value.isoformat().encode(), out)),
    (timedelta, lambda value, out: out.extend((b"e", _INT.pack(value // _MICROSECOND)))),
    (Decimal, lambda value, out: _sized(b"c", str(value).encode(), out)),
    (UUID, lambda value, out: _sized(b"u", value.bytes, out)),
    (dict, _write_map),
    (set | frozenset, lambda value, out: _many(b"S", value, out)),
    (list | tuple, lambda value, out: _many(b"l", value, out)),
)


def _read(raw: bytes, at: int) -> tuple[Any, int]:
    tag = raw[at : at + 1]
    at += 1
    if tag in _SINGLE:
        return _SINGLE[tag], at
    if tag in (b"i", b"d", b"e"):
        value = (_DOUBLE if tag == b"d" else _INT).unpack_from(raw, at)[0]
        return (timedelta(microseconds=value) if tag == b"e" else value), at + 8
    (count,) = _COUNT.unpack_from(raw, at)
    at += 4
    if tag in (b"l", b"S", b"m"):
        return _read_many(tag, raw, at, count)
    body = raw[at : at + count]
    if len(body) != count:
        raise IndexError("cut short")
    return _READERS[tag](body), at + count


def _read_many(tag: bytes, raw: bytes, at: int, count: int) -> tuple[Any, int]:
    items = []
    for _ in range(count):
        item, at = _read(raw, at)
        items.append(item)
    if tag == b"m":
        return dict(zip(items[::2], items[1::2], strict=True)), at
    return (set(items) if tag == b"S" else items), at


_SINGLE: dict[bytes, Any] = {b"N": None, b"T": True, b"F": False}
_READERS: dict[bytes, Callable[[bytes], Any]] = {
    b"s": lambda body: body.decode(),
    b"I": lambda body: int(body),
    b"b": lambda body: body,
    b"t": lambda body: moment_of(_INT.unpack_from(body)[0], body[8:].decode()),
    b"D": lambda body: date.fromisoformat(body.decode()),
    b"c": lambda body: Decimal(body.decode()),
    b"u": lambda body: UUID(bytes=body),
}
