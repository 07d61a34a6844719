"""Annotations as JSON: one object for each request, its values still in columns."""

from __future__ import annotations

import base64
import json
import sys
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from boxplat.serving.log.annotation import TABLES, Said, Slip, problem

FACTS = ("model_version", "feature_service")
# Fewer floats than this are not worth packing.
_FEW = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(slip: Slip) -> bytes | None:
    """What was said about a request: a list of objects with `rows` (null: one prediction of plain values), the tables
    `keys`, `features` and `ages`, the columns `as_of` (microseconds since the epoch, UTC) and `prediction`, and facts.

    Floats, which take long to be written as decimals, are 64 bits in base64: a column that is a text, and in a single
    prediction those of a table as `packed`: table → [names, values].

    What cannot be written as JSON is named in `problem` instead: a record must not be lost for it.
    """
    if not slip:
        return None
    return b"[" + b",".join(map(_object, slip)) + b"]"


def _object(said: Said) -> bytes:
    try:
        return (_plain_ones(said) if said.rows is None else _columns(said)).encode()
    except Exception as error:
        # Whatever the service's own classes raise is a matter of this record only.
        return json.dumps({"rows": None, "problem": problem(error)}).encode()


def _plain_ones(said: Said) -> str:
    made = {"rows": None, **said.values, **_facts(said)}
    packed = []
    for name in TABLES:
        table = said.values.get(name)
        if table is not None and len(table) >= _FEW:
            floats = {key: value for key, value in table.items() if type(value) is float}
            packed.append(f'"{name}":[{_names(tuple(floats))},"{_packed(list(floats.values()))}"]')
            made[name] = {key: value for key, value in table.items() if key not in floats}
    text = _ENCODER.encode(made)
    return f'{text[:-1]},"packed":{{{",".join(packed)}}}}}' if packed else text


@lru_cache(maxsize=64)
def _names(names: tuple[Any, ...]) -> str:
    return json.dumps([str(name) for name in names])


def _columns(said: Said) -> str:
    assert said.rows is not None
    stop = said.rows if said.stop is None else min(said.stop, said.rows)
    parts = [f'"rows":{max(0, stop - said.start)}']
    for name, value in (said.values | _facts(said)).items():
        if name in FACTS:
            parts.append(f'"{name}":{_ENCODER.encode(value)}')
        elif name in TABLES:
            parts.append(f'"{name}":{{{_table(value, said, stop)}}}')
        else:
            parts.append(f'"{name}":{_values(value, said, stop)}')
    return f"{{{','.join(parts)}}}"


def _facts(said: Said) -> dict[str, str]:
    return {name: str(said.values[name]) for name in FACTS if name in said.values}


def _table(table: Mapping[str, Any], said: Said, stop: int) -> str:
    # Column by column: one long call would keep every other thread waiting.
    return ",".join(f"{json.dumps(str(name))}:{_values(values, said, stop)}" for name, values in table.items())


def _values(values: Any, said: Said, stop: int) -> str:
    if isinstance(values, str | bytes):
        # Its characters would be taken for packed floats.
        raise TypeError("a column must be a sequence of values, not a text")
    if len(values) != said.rows:
        raise ValueError(f"a column of {len(values)} values for {said.rows} rows")
    part = values[said.start : stop]
    if getattr(part, "dtype", None) == "float64" and part.ndim == 1:
        return f'"{_packed(part.tolist())}"'
    part = list(_listed(part))
    if len(part) >= _FEW and set(map(type, part)) == {float}:
        return f'"{_packed(part)}"'
    return _ENCODER.encode(part)


def _packed(values: Sequence[float]) -> str:
    made = array("d", values)
    if sys.byteorder == "big":
        made.byteswap()
    return b2a_base64(made, newline=False).decode()


def unpacked(text: str) -> list[float]:
    """The floats of a text that `_packed` made."""
    made = array("d", a2b_base64(text))
    if sys.byteorder == "big":
        made.byteswap()
    return made.tolist()


def _listed(values: Any) -> Any:
    """Arrays as lists; times of NumPy as microseconds, whatever their unit."""
    if getattr(getattr(values, "dtype", None), "kind", "") == "M":
        values = values.astype("datetime64[us]").astype("int64")
    return values.tolist() if hasattr(values, "tolist") else values


def _plain(value: Any) -> Any:
    """What `json` does not know: times as microseconds since the epoch, arrays and their scalars, bytes."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    if hasattr(value, "tolist"):
        return _listed(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


_ENCODER = json.JSONEncoder(default=_plain, separators=(",", ":"))
