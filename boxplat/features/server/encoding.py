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
_NAIVE_EPOCH = datetime(1970, 1, 1)
_SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)
_NEVER = '"1970-01-01T00:00:00Z"'
_VALUES = '{"values":['
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
    text = repr(value)
    # `nan` and `inf` end with a letter.
    if text[-1] <= "9":
        return text
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def instant(us: int) -> str:
    """A feature's moment, `us` microseconds after the epoch, in seconds: Feast's whole number where it is one."""
    seconds, rest = divmod(us, _SECOND)
    if not rest:
        return str(seconds)
    sign = "-" if us < 0 else ""
    return f"{sign}{abs(us) // _SECOND}.{abs(us) % _SECOND:06d}".rstrip("0")


def event_time(us: int) -> str:
    """A row's event time as quoted RFC 3339 text with 0, 3 or 6 digits after the second."""
    seconds, rest = divmod(us, _SECOND)
    minutes, second = divmod(seconds, 60)
    if not rest:
        return f'"{_minute(minutes)}:{second:02d}Z"'
    if rest % 1000:
        return f'"{_minute(minutes)}:{second:02d}.{rest:06d}Z"'
    return f'"{_minute(minutes)}:{second:02d}.{rest // 1000:03d}Z"'


@lru_cache(maxsize=4096)
def _minute(minutes: int) -> str:
    """A number of minutes after the epoch as text."""
    return (_NAIVE_EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes")


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


def alone(event_us: int, values: Sequence[Any], statuses: bytes, encoders: Sequence[Encode]) -> tuple[str, list[int]]:
    """The columns of one entity's features in a view, comma between them, and how many values had each status.

    Args:
        event_us: event time in microseconds, 0 where not found, which Feast sends as the epoch.
        statuses: of each value, a byte each.
    """
    seen = [statuses.count(status) for status in range(len(STATUSES))]
    time = event_time(event_us)
    texts = ["null" if value is None else encode(value) for value, encode in zip(values, encoders, strict=True)]
    if len(set(statuses)) == 1:
        tail = _tail(_QUOTED[statuses[0]], time)
        return f"{_VALUES}{f'{tail},{_VALUES}'.join(texts)}{tail}", seen
    tails = [_tail(name, time) for name in _QUOTED]
    return ",".join([f"{_VALUES}{text}{tails[status]}" for text, status in zip(texts, statuses, strict=True)]), seen


def together(event_us: Sequence[int], columns: Iterable[tuple[str, bytes]]) -> tuple[str, list[int]]:
    """The same for many entities: a column is its values, as `members` gives them, and their statuses."""
    texts = {us: event_time(us) for us in set(event_us)}
    times = ",".join([texts[us] for us in event_us])
    tails: dict[bytes, str] = {}
    found, seen = [], [0] * len(STATUSES)
    for values, statuses in columns:
        if statuses not in tails:
            tails[statuses] = _tail(",".join([_QUOTED[status] for status in statuses]), times)
        for status in set(statuses):
            seen[status] += statuses.count(status)
        found.append(f"{_VALUES}{values}{tails[statuses]}")
    return ",".join(found), seen


def _tail(statuses: str, times: str) -> str:
    """What follows the values of a column."""
    return f'],"statuses":[{statuses}],"event_timestamps":[{times}]}}'


def members(values: Sequence[Any], encode: Encode) -> str:
    """Stored values, None among them, as the members of a JSON list."""
    if encode is repr or encode is number:
        text = ",".join(map(repr, values))
        # Of all that is written for numbers only `nan`, `inf` and `None` have this letter.
        if "n" not in text:
            return text
    return ",".join(["null" if value is None else encode(value) for value in values])


def key(values: Sequence[Any]) -> str:
    """A column of keys, given back as the answer's first ones."""
    count = len(values)
    present, never = ",".join([_QUOTED[1]] * count), ",".join([_NEVER] * count)
    return f"{_VALUES}{inner(values)}{_tail(present, never)}"


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
