"""Annotations as JSON: one object for each request, its values still in columns."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from boxplat.serving.log.annotation import Said, Slip

TABLES = ("keys", "features", "ages")
FACTS = ("model_version", "feature_service")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(slip: Slip) -> bytes | None:
    """What was said about a request: a list of objects with `rows` (null: one prediction of plain values), the tables
    `keys`, `features` and `ages`, the columns `as_of` (microseconds since the epoch, UTC) and `prediction`, and facts.

    What cannot be written as JSON is named in `problem` instead: a record must not be lost for it.
    """
    if not slip:
        return None
    return b"[" + b",".join(map(_object, slip)) + b"]"


def _object(said: Said) -> bytes:
    try:
        return (_plain_ones(said) if said.rows is None else _columns(said)).encode()
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        return json.dumps({"rows": None, "problem": f"{type(error).__name__}: {error}"[:300]}).encode()


def _plain_ones(said: Said) -> str:
    return _ENCODER.encode({"rows": None, **said.values, **_facts(said)})


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
    if len(values) != said.rows:
        raise ValueError(f"a column of {len(values)} values for {said.rows} rows")
    return _ENCODER.encode(_listed(values[said.start : stop]))


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
