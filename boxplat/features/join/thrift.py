"""The headers of Parquet pages: structs in Thrift's compact protocol, as dictionaries from field numbers to values.

Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Raw = bytes | memoryview


def struct(raw: Raw, at: int) -> tuple[dict[int, Any], int]:
    """The struct that begins at byte `at`, and where it ends.

    Raises:
        ValueError: a type that no page header has.
        IndexError: the bytes end too soon.
    """
    fields: dict[int, Any] = {}
    number = 0
    while head := raw[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(raw, at)
        fields[number], at = _value(raw, at, head & 15)
    return fields, at + 1


def _value(raw: Raw, at: int, kind: int) -> tuple[Any, int]:
    if kind not in _KINDS:
        raise ValueError(f"field of type {kind}")
    return _KINDS[kind](raw, at)


def _unsigned(raw: Raw, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _signed(raw: Raw, at: int) -> tuple[int, int]:
    value, at = _unsigned(raw, at)
    return (value >> 1) ^ -(value & 1), at


def _binary(raw: Raw, at: int) -> tuple[bytes, int]:
    length, at = _unsigned(raw, at)
    return bytes(raw[at : at + length]), at + length


_KINDS: dict[int, Callable[[Raw, int], tuple[Any, int]]] = {
    1: lambda raw, at: (True, at),
    2: lambda raw, at: (False, at),
    3: lambda raw, at: (raw[at], at + 1),
    4: _signed,
    5: _signed,
    6: _signed,
    8: _binary,
    12: struct,
}
