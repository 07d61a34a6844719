"""Wild values of every type, and a plain dictionary that says what a store must answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from boxplat.features.schema import View

LOWEST = -(2**63)
_moments = st.datetimes(datetime(1600, 1, 1), datetime(2600, 1, 1), timezones=st.just(UTC))
_zones = st.sampled_from(
    [UTC, ZoneInfo("Europe/Rome"), timezone(timedelta(hours=-7)), timezone(timedelta(minutes=330))]
)
_doubles = st.floats(allow_nan=True, allow_infinity=True)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None)
_scalars: dict[str, st.SearchStrategy[Any]] = {
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 + 1, -(2**53) - 1]),
    "DOUBLE": _doubles | st.just(-0.0),
    "FLOAT": st.floats(width=32),
    "BOOL": st.booleans(),
    "UNIX_TIMESTAMP": _moments,
    "STRING": st.text(max_size=30),
    "BYTES": st.binary(max_size=30) | st.just(b"\0\0"),
    "DECIMAL": _decimals,
    "UUID": st.uuids(),
}
_nested = st.recursive(
    st.none()
    | st.booleans()
    | _scalars["INT64"]
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_maps = st.dictionaries(st.text(max_size=4), _nested, max_size=4)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **_scalars,
    "PDF_BYTES": _scalars["BYTES"],
    "IMAGE_BYTES": _scalars["BYTES"],
    "TIME_UUID": st.uuids(version=1),
    # What is JSON text is itself JSON: only other values read back as they were given.
    "JSON": _json.filter(lambda value: value is not None and not isinstance(value, str)),
    "ZONED_TIMESTAMP": st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=_zones),
    "MAP": _maps,
    "STRUCT": _maps,
    "MAP_LIST": st.lists(_maps, max_size=3),
    "STRUCT_LIST": st.lists(_maps, max_size=3),
    "SCALAR_MAP": st.dictionaries(
        st.integers(-(2**40), 2**40) | st.uuids() | _decimals.filter(lambda d: d != d.to_integral_value()),
        _nested,
        max_size=3,
    ),
    "VALUE_LIST": st.lists(st.lists(_scalars["INT64"] | st.none(), max_size=3), max_size=3),
    "VALUE_SET": st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=3),
    "JSON_LIST": st.lists(_json.filter(lambda value: value is not None and not isinstance(value, str)), max_size=3),
}
for _name, _values in _scalars.items():
    VALUES[f"{_name}_LIST"] = st.lists(_values | st.none(), max_size=4)
    VALUES[f"{_name}_SET"] = st.sets(_values.filter(lambda value: value == value), max_size=4)
VALUES["TIME_UUID_LIST"] = st.lists(st.uuids(version=1), max_size=3)
VALUES["TIME_UUID_SET"] = st.sets(st.uuids(version=1), max_size=3)

KEYS: dict[str, list[Any]] = {
    "INT64": [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 7, 8, 9],
    "INT32": [0, 1, -1, 2**31 - 1, -(2**31), 5],
    "STRING": ["", "a", "ab", "b", "é", "\0", "x" * 40, "x" * 39 + "y", "1", "11"],
    "BYTES": [b"", b"\0", b"\0\0", b"abcdefgh", b"abcdefgh\0"],
    "UNIX_TIMESTAMP": [datetime(1970, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 0, 0, 0, 1, tzinfo=UTC)],
    "BOOL": [True, False],
    "DOUBLE": [0.0, 1.5, -2.25],
}


def same(found: Any, expected: Any) -> bool:
    """Equality that knows NaN, the sign of zero, and the time zone of a moment."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, float):
        if math.isnan(expected):
            return math.isnan(found)
        return found == expected and math.copysign(1, found) == math.copysign(1, expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, datetime):
        return found == expected and found.utcoffset() == expected.utcoffset()
    return bool(found == expected)


@dataclass
class Model:
    """A view as a dictionary: by key the event time, the created time and the values by field."""

    view: View
    rows: dict[tuple[Any, ...], tuple[int, int, dict[str, Any]]] = field(default_factory=dict)

    def put(self, key: tuple[Any, ...], event_us: int, created_us: int | None, values: dict[str, Any]) -> bool:
        """Take a row unless it is older; whether it was taken."""
        created = LOWEST if created_us is None else created_us
        old = self.rows.get(key)
        if old is not None and (event_us, created) < old[:2]:
            return False
        self.rows[key] = (event_us, created, values)
        return True

    def change(self, view: View) -> None:
        """Another schema: fields that are new or of another type are null, other keys empty the view."""
        if self.view.keys != view.keys:
            self.rows = {}
        kept = {item.name for item in view.fields if item in self.view.fields}
        for key, (event, created, values) in self.rows.items():
            self.rows[key] = (event, created, {name: value for name, value in values.items() if name in kept})
        self.view = view

    def expected(self, key: tuple[Any, ...], now_us: int) -> tuple[int, int, dict[str, Any]]:
        """Status of the row, event time and values."""
        row = self.rows.get(key)
        if row is None:
            return 3, 0, {}
        if self.view.ttl_us and now_us - row[0] > self.view.ttl_us:
            return 4, row[0], {}
        return 1, row[0], row[2]
