"""The keys of a request: rows turned into columns, and values that do not fit refused. Knows nothing of Feast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np

from boxplat.core.errors import BoxError, ExitCode, nearest

Integers = np.ndarray[tuple[int], np.dtype[np.int64]]
# From so many on it pays to make an array; fewer are looked up one by one.
_FEW = 17
_BOUNDS = {"INT32": 2**31, "INT64": 2**63}
_EXACT: dict[str, type] = {
    "INT32": int,
    "INT64": int,
    "STRING": str,
    "BYTES": bytes,
    "BOOL": bool,
    "DOUBLE": float,
    "FLOAT": float,
}


class BadKeys(BoxError, KeyError, ValueError):
    """Keys that cannot be looked up. Also what Feast itself raises for such, so that code written for it goes on."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what, why=why, fix=fix, code=ExitCode.USAGE)


def columns(rows: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> tuple[dict[str, Sequence[Any]], int]:
    """Rows, or columns, of keys as columns of equal length, and that length.

    Raises:
        BadKeys: no rows, rows with different keys, or columns of different lengths.
    """
    if isinstance(rows, Mapping):
        return _of_columns(rows)
    if not rows:
        raise BadKeys("no entity keys given", "at least one row is needed", _EXAMPLE)
    first = rows[0]
    if len(rows) == 1:
        return {name: (value,) for name, value in first.items()}, 1
    try:
        found: dict[str, Sequence[Any]] = {name: [row[name] for row in rows] for name in first}
    except KeyError:
        raise _different(rows) from None
    if sum(map(len, rows)) != len(first) * len(rows):
        raise _different(rows)
    return found, len(rows)


def checked(name: str, values: Sequence[Any], type_: str) -> Sequence[Any]:
    """Values of one key in its own type; None stays None.

    Whole floats are taken for integers and NaN for None, since pandas makes integers with gaps to floats.

    Returns:
        The values themselves where they fit as they are.

    Raises:
        BadKeys: a value of another type, or one that the type cannot hold. Text is never read as a number.
    """
    exact = _EXACT.get(type_)
    if exact is not None and set(map(type, values)) == {exact}:
        bound = _BOUNDS.get(type_)
        if bound is None or (-bound <= min(values) and max(values) < bound):
            return values
    return [None if value is None else _one(name, row, value, type_) for row, value in enumerate(values)]


def for_lookup(values: Sequence[Any], type_: str) -> Sequence[Any] | Integers:
    """Checked values in the form that is looked up fastest; made once for all views that share the key."""
    if type_ not in _BOUNDS or len(values) < _FEW or type(values[0]) is not int:
        return values
    try:
        return np.array(values, np.int64)
    except TypeError:
        return values


def missing(needed: Sequence[str], given: Sequence[str], what: str) -> BadKeys:
    """The error for keys that a request lacks."""
    lacking = [name for name in needed if name not in given]
    others = [name for name in given if name not in needed]
    hints = "".join(nearest(name, lacking) for name in others[:1])
    return BadKeys(
        f"{what} cannot be read without {', '.join(map(repr, lacking))}",
        f"the request gives {', '.join(map(repr, given)) or 'no keys'}{hints}",
        f"give {', '.join(map(repr, needed))} in every row",
    )


_EXAMPLE = """give a list of rows: [{"origin": "JFK"}, {"origin": "LGA"}]"""


def _of_columns(given: Mapping[str, Any]) -> tuple[dict[str, Sequence[Any]], int]:
    found = {name: _sequence(name, values) for name, values in given.items()}
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise BadKeys(
            "the columns of keys have different lengths",
            ", ".join(f"{name!r} has {length}" for name, length in lengths.items()),
            "give one value of every key for each row",
        )
    if not found or not max(lengths.values()):
        raise BadKeys("no entity keys given", "at least one row is needed", _EXAMPLE)
    return found, max(lengths.values())


def _sequence(name: str, values: Any) -> Sequence[Any]:
    # Feast's RepeatedValue keeps its messages in `val`; NumPy, pandas and Arrow each have a way to a plain list.
    values = getattr(values, "val", values)
    for way in ("to_pylist", "tolist"):
        if hasattr(values, way):
            return list(getattr(values, way)())
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__getitem__"):
        raise BadKeys(
            f"the keys {name!r} are no list", f"{values!r:.60} is a {type(values).__name__}", f"{name!r}: [{values!r}]"
        )
    return values if isinstance(values, list) else list(values)


def _different(rows: Sequence[Mapping[str, Any]]) -> BadKeys:
    first = rows[0].keys()
    number, odd = next((number, row) for number, row in enumerate(rows) if row.keys() != first)
    return BadKeys(
        "the rows have different keys",
        f"row 0 has {sorted(first)}, row {number} has {sorted(odd)}",
        "give the same keys in every row; None for one that is not known",
    )


def _one(name: str, row: int, value: Any, type_: str) -> Any:
    found = _plain(value)
    if type_ in _BOUNDS:
        found = _integer(found, _BOUNDS[type_])
    elif type_ in ("DOUBLE", "FLOAT"):
        found = float(found) if isinstance(found, int | float) and not isinstance(found, bool) else _NO
    elif type_ == "UNIX_TIMESTAMP":
        found = _moment(found)
    elif type_ in ("UUID", "TIME_UUID"):
        found = str(found) if isinstance(found, UUID | str) else _NO
    elif not isinstance(found, _EXACT.get(type_, object)):
        found = _NO
    if found is _NO:
        raise BadKeys(
            f"key {name!r} of row {row} is not {type_}",
            f"{value!r:.60} is a {type(value).__name__}, and {name!r} is declared as {type_}",
            f"give {name!r} in its own type",
        )
    return found


class _NoValue:
    """What no key can be."""


_NO = _NoValue()


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's own."""
    return value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value


def _integer(value: Any, bound: int) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        value = int(value) if value.is_integer() else _NO
    fits = isinstance(value, int) and not isinstance(value, bool) and -bound <= value < bound
    return value if fits else _NO


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    # Feast's messages and JSON hold whole seconds.
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) and not isinstance(value, bool) else _NO
