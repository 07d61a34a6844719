"""From what was said about a request to its predictions, one row for each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxplat.serving.log.annotation import TABLES
from boxplat.serving.log.saying import FACTS, unpacked

# Microseconds since the epoch of the first and the last moment that Python can show.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of one request.

    Attributes:
        rows: how many; at least one.
        columns: by name a value for each; None where nothing was said.
    """

    rows: int
    columns: Mapping[str, list[Any] | None]


def of(said: bytes | None, facts: Mapping[str, str]) -> Predictions:
    """The predictions of a request.

    Args:
        said: the JSON of `saying.text`.
        facts: what holds where the request's own annotations say nothing.

    Raises:
        Exception: of many kinds, where it is no JSON of `saying.text`.
    """
    objects = [] if said is None else json.loads(said)
    rows = max([1, *(one["rows"] or 0 for one in objects)])
    found: dict[str, list[Any] | None] = {name: [facts[name]] * rows if name in facts else None for name in FACTS}
    found |= {name: None for name in (*TABLES, "as_of", "prediction", "problem", "shadow")}
    for one in objects:
        _add(one, rows, found)
    for name in TABLES:
        found[name] = _texts(found[name])
    found["prediction"] = _texts(found["prediction"])
    return Predictions(rows, found)


def _add(one: dict[str, Any], rows: int, found: dict[str, list[Any] | None]) -> None:
    """One call of `annotate`. What it says without rows holds for all of them."""
    if one["rows"] == 0:
        one = {"rows": None, **{name: one[name] for name in FACTS if name in one}}
    if one["rows"] not in (None, rows):
        found["problem"] = [f"annotations of {one['rows']} and of {rows} rows"] * rows
        return
    plain = one["rows"] is None
    for name, (columns, floats) in one.pop("packed", {}).items():
        one[name].update(zip(columns, unpacked(floats), strict=True))
    for name, value in one.items():
        if name in TABLES:
            found[name] = _merged(found[name] or [{} for _ in range(rows)], value, plain)
        elif name == "as_of":
            moments = [value] * rows if plain else _column(value, rows)
            found[name] = [_moment(moment) for moment in moments]
        elif name in ("prediction", "shadow"):
            found[name] = [value] * rows if plain else _column(value, rows)
        elif name != "rows":
            # Half a surrogate pair is no text for Parquet.
            found[name] = [value.encode(errors="replace").decode()] * rows


def _merged(tables: list[Any], value: Mapping[str, Any], plain: bool) -> list[Any]:
    """The rows of a table with further columns."""
    for column, given in value.items():
        values = [given] * len(tables) if plain else _column(given, len(tables))
        for table, one in zip(tables, values, strict=True):
            table[column] = one
    return tables


def _column(given: Any, rows: int) -> list[Any]:
    values = unpacked(given) if isinstance(given, str) else list(given)
    if len(values) != rows:
        raise ValueError(f"a column of {len(values)} values for {rows} rows")
    return values


def _moment(given: Any) -> int | None:
    """Also None: what no reader could show, as NumPy's `NaT`."""
    return given if type(given) is int and _FIRST <= given <= _LAST else None


def _texts(values: list[Any] | None) -> list[str] | None:
    return None if values is None else [_text(value) for value in values]


def _text(value: Any) -> str:
    """As JSON; what JSON has no number for as `"NaN"`, `"Infinity"` and `"-Infinity"`, which SQL casts back."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return _WORDS.get(value, "NaN")
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
