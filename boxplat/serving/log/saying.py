"""Annotations as JSON: one object for each request, its values still in columns."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from boxplat.serving.log.annotation import Said, Slip

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
    stop = said.rows if said.stop is None else min(said.stop, said.rows or 0)
    rows = None if stop is None else max(0, stop - said.start)
    try:
        parts = [f'"rows":{json.dumps(rows)}']
        for name, table in said.tables.items():
            parts.append(f'"{name}":{_table(table, said, stop)}')
        for name, column in said.columns.items():
            parts.append(f'"{name}":{_values(column, said, stop)}')
        parts += [f'"{name}":{json.dumps(fact)}' for name, fact in said.facts.items()]
        return f"{{{','.join(parts)}}}".encode()
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        return json.dumps({"rows": None, "problem": f"{type(error).__name__}: {error}"[:300]}).encode()


def _table(table: Mapping[str, Any], said: Said, stop: int | None) -> str:
    # Column by column: one long call would keep every other thread waiting.
    return "{" + ",".join(f"{json.dumps(str(name))}:{_values(v, said, stop)}" for name, v in table.items()) + "}"


def _values(values: Any, said: Said, stop: int | None) -> str:
    if stop is not None:
        if len(values) != said.rows:
            raise ValueError(f"a column of {len(values)} values for {said.rows} rows")
        values = values[said.start : stop]
    return json.dumps(_listed(values), default=_plain, separators=(",", ":"))


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
