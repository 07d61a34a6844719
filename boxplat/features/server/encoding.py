"""Answers as JSON, byte for byte what Feast's server would send for the same values."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any
from uuid import UUID

from boxplat.features.schema import STATUSES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_NEVER = '"1970-01-01T00:00:00Z"'
_QUOTED = tuple(f'"{status}"' for status in STATUSES)

Encode = Callable[[Any], str]


def scalar(value: Any) -> str:
    """Any value that a feature or a key can have, as JSON; NaN and infinities as Feast's texts for them."""
    if value is None:
        return "null"
    encode = _BY_CLASS.get(type(value))
    return encode(value) if encode is not None else _other(value)


def number(value: float) -> str:
    """A number; JSON has none for NaN and infinities, and Feast sends texts."""
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def instant(us: int) -> str:
    """A feature's moment, `us` microseconds after the epoch, in seconds: Feast's whole number where it is one."""
    seconds, rest = divmod(us, _SECOND)
    if not rest:
        return str(seconds)
    sign = "-" if us < 0 else ""
    return f"{sign}{abs(us) // _SECOND}.{abs(us) % _SECOND:06d}".rstrip("0")


@lru_cache(maxsize=4096)
def event_time(us: int) -> str:
    """A row's event time as quoted RFC 3339 text with 0, 3 or 6 digits after the second."""
    moment = EPOCH + timedelta(microseconds=us)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    rest = us % _SECOND
    if rest:
        text += f".{rest // 1000:03d}" if rest % 1000 == 0 else f".{rest:06d}"
    return f'"{text}Z"'


def listed(values: Iterable[Any]) -> str:
    """Values as a JSON list."""
    return f"[{inner(values)}]"


def _mapping(value: Mapping[Any, Any]) -> str:
    return "{" + ",".join([f"{encode_basestring(str(key))}:{scalar(inner)}" for key, inner in value.items()]) + "}"


def _moment(value: datetime) -> str:
    return instant(((value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH) // _MICROSECOND)


def _other(value: Any) -> str:
    for kind, encode in _BY_CLASS.items():
        if isinstance(value, kind):
            return encode(value)
    if hasattr(value, "tolist"):
        return scalar(value.tolist())
    raise TypeError(f"a feature of class {type(value).__name__} cannot be sent")


_BY_CLASS: dict[type, Encode] = {
    bool: lambda value: "true" if value else "false",
    int: repr,
    float: number,
    str: encode_basestring,
    bytes: lambda value: f'"{b64encode(value).decode("ascii")}"',
    Decimal: lambda value: f'"{value}"',
    UUID: lambda value: f'"{value}"',
    datetime: _moment,
    list: listed,
    tuple: listed,
    set: listed,
    frozenset: listed,
    dict: _mapping,
}


# How the stored form of a value is sent, where its type tells; `scalar` looks at its class.
_BY_TYPE: dict[str, Encode] = {
    "INT32": repr,
    "INT64": repr,
    "FLOAT": number,
    "DOUBLE": number,
    "STRING": encode_basestring,
    "UNIX_TIMESTAMP": instant,
    "ZONED_TIMESTAMP": lambda value: f'"{value.isoformat()}"',
}


def encoder(type_: str) -> Encode:
    """How the stored values of a type are sent; for values that are not None."""
    return _BY_TYPE.get(type_, scalar)


def alone(event_us: int, cells: Iterable[tuple[Any, int]], encoders: Sequence[Encode]) -> tuple[list[str], list[int]]:
    """The columns of one entity's features in a view, and how many values had each status.

    Args:
        event_us: event time in microseconds, 0 where not found, which Feast sends as the epoch.
        cells: value and status of each feature.
    """
    time = event_time(event_us)
    found, seen = [], [0] * len(STATUSES)
    for (value, status), encode in zip(cells, encoders, strict=True):
        seen[status] += 1
        text = "null" if value is None else encode(value)
        found.append(f'{{"values":[{text}],"statuses":[{_QUOTED[status]}],"event_timestamps":[{time}]}}')
    return found, seen


def together(
    event_us: Iterable[int], columns: Iterable[tuple[Sequence[Any], bytes]], encoders: Sequence[Encode]
) -> tuple[list[str], list[int]]:
    """The same for many entities: a column is its values and their statuses, a byte each."""
    times = ",".join([event_time(us) for us in event_us])
    tails: dict[bytes, str] = {}
    found, seen = [], [0] * len(STATUSES)
    for (values, statuses), encode in zip(columns, encoders, strict=True):
        if statuses not in tails:
            names = ",".join([_QUOTED[status] for status in statuses])
            tails[statuses] = f'],"statuses":[{names}],"event_timestamps":[{times}]}}'
        for status in set(statuses):
            seen[status] += statuses.count(status)
        inside = ",".join(["null" if value is None else encode(value) for value in values])
        found.append(f'{{"values":[{inside}{tails[statuses]}')
    return found, seen


def key(values: Sequence[Any]) -> str:
    """A column of keys, given back as the answer's first ones."""
    count = len(values)
    present, never = ",".join([_QUOTED[1]] * count), ",".join([_NEVER] * count)
    return f'{{"values":{listed(values)},"statuses":[{present}],"event_timestamps":[{never}]}}'


def inner(values: Iterable[Any]) -> str:
    """The members of a JSON list."""
    return ",".join([scalar(value) for value in values])


def body(columns: Sequence[str], names: str, metadata: str = "") -> bytes:
    """The whole answer from its columns, as `key` and `View.feature` give them.

    Args:
        names: the columns' names, the inner text of a JSON list.
        metadata: more members of `metadata`, encoded.
    """
    results = ",".join(columns)
    return f'{{"results":[{results}],"metadata":{{"feature_names":[{names}]{metadata}}}}}'.encode()


def versions(known: Sequence[tuple[str, int]]) -> str:
    """The member of `metadata` that tells the views' current versions; Feast leaves out a version of 0."""
    entries = [{"name": name, "version": version} if version else {"name": name} for name, version in known]
    return f',"feature_view_metadata":{listed(entries)}'
