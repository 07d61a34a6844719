"""Values of SQLite as those of PostgreSQL, and digests of rows that are the same on both sides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import types
from sqlalchemy.schema import Column

Row = tuple[Any, ...]
Convert = Callable[[Any], Any]
_MODULUS = 1 << 128


def _same(value: Any) -> Any:
    return value


def _json(value: Any) -> str:
    """SQLite takes the column for one of numbers, and makes one of a text that looks so."""
    return value if isinstance(value, str) else json.dumps(value)


# SQLite keeps some kinds as others do not; the first kind that fits a column says how to read it.
_READ: tuple[tuple[type[types.TypeEngine[Any]], Convert], ...] = (
    (types.Boolean, bool),
    (types.Integer, int),
    (types.Float, float),
    (types.DateTime, datetime.fromisoformat),
    (types.Date, date.fromisoformat),
    (types.LargeBinary, bytes),
    (types.JSON, _json),
)


def reader(column: Column[Any]) -> Convert:
    """How a value of SQLite becomes what the column holds; a null stays one. JSON stays text."""
    convert = next((how for kind, how in _READ if isinstance(column.type, kind)), _same)
    return lambda value: None if value is None else convert(value)


def canonical(column: Column[Any]) -> Convert | None:
    """How a value is changed for its digest: JSON loses what its two sides may write differently."""
    if isinstance(column.type, types.JSON):
        return lambda value: None if value is None else json.dumps(json.loads(value), sort_keys=True)
    return None


class Checksum:
    """How many rows there are, and the sum of their digests modulo 2^128: the same in whatever order they come.

    A sum instead of an exclusive or, under which two equal rows would vanish.
    """

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self._canonical = tuple((at, how) for at, how in enumerate(map(canonical, columns)) if how is not None)
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.rows += 1
            self._sum += self.digest(row)
        self._sum %= _MODULUS

    def digest(self, row: Sequence[Any]) -> int:
        """BLAKE2b, 128 bits, of the row as Python writes it, which tells every two values of these types apart."""
        values = list(row)
        for at, how in self._canonical:
            values[at] = how(values[at])
        text = repr(values).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")

    @property
    def text(self) -> str:
        return f"{self._sum:032x}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checksum) and (self.rows, self._sum) == (other.rows, other._sum)

    __hash__ = None  # type: ignore[assignment]
