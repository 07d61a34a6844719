"""Values as JSON, beside Feast's own conversion of its messages."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boxplat.features.server import encoding
from boxplat.features.server.decoding import typed

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
WHOLE = st.integers(-(2**63), 2**63 - 1)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string_val": TEXTS,
    "bytes_val": st.binary(),
    "int64_val": WHOLE,
    "double_val": st.floats(),
    "float_val": st.floats(width=32),
    "bool_val": st.booleans(),
}


def feasts(field: str, value: Any) -> str:
    """What Feast's server sends for a value."""
    from feast.feature_server_utils import _value_to_native
    from feast.protos.feast.types.Value_pb2 import Value

    message = Value()
    if field.endswith("_list_val"):
        getattr(message, field).val.extend(value)
        getattr(message, field).SetInParent()
    else:
        setattr(message, field, value)
    return json.dumps(_value_to_native(message), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@pytest.mark.parametrize("field", SCALARS)
def test_scalars(field: str) -> None:
    @settings(deadline=None)
    @given(SCALARS[field])
    def check(value: Any) -> None:
        assert encoding.scalar(value) == feasts(field, value)

    check()


@pytest.mark.parametrize("field", SCALARS)
def test_lists(field: str) -> None:
    @settings(deadline=None)
    @given(st.lists(SCALARS[field], max_size=5))
    def check(values: list[Any]) -> None:
        assert encoding.scalar(values) == feasts(field.replace("_val", "_list_val"), values)

    check()


@settings(deadline=None)
@given(st.integers(-2_000_000_000, 4_000_000_000), st.integers(0, 999_999))
@example(0, 0)
@example(1767323045, 120_000)
@example(1767323045, 123_456)
def test_event_times(seconds: int, us: int) -> None:
    from feast.feature_server_utils import _timestamp_to_str

    wanted = _timestamp_to_str(Timestamp(seconds=seconds, nanos=us * 1000))
    assert encoding.event_time(seconds * 1_000_000 + us) == f'"{wanted}"'


@settings(deadline=None)
@given(WHOLE.map(lambda us: us // 1000))
def test_moments_keep_every_microsecond(us: int) -> None:
    text = encoding.instant(us)
    whole, _, rest = text.partition(".")
    sign = -1 if text.startswith("-") else 1
    assert int(whole) * 1_000_000 + sign * int(rest.ljust(6, "0") or 0) == us
    assert ("." in text) == bool(us % 1_000_000)


@settings(deadline=None)
@given(st.lists(st.floats(), max_size=5))
def test_what_is_sent_can_be_pushed_back(values: list[float]) -> None:
    back = typed("x", json.loads(encoding.scalar(values)), "DOUBLE")
    assert [(math.isnan(a) and math.isnan(b)) or a == b for a, b in zip(values, back, strict=True)].count(False) == 0


def test_times_without_a_zone_are_utc() -> None:
    assert typed("t", ["2026-01-02T03:04:05"], "UNIX_TIMESTAMP") == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]


def test_one_entity_is_encoded_as_among_many() -> None:
    encoders = [encoding.encoder("INT64"), encoding.encoder("STRING")]
    alone, seen = encoding.alone(1_767_323_045_000_000, [7, None], b"\x01\x02", encoders)
    assert json.loads(f"[{alone}]") == [
        {"values": [7], "statuses": ["PRESENT"], "event_timestamps": ["2026-01-02T03:04:05Z"]},
        {"values": [None], "statuses": ["NULL_VALUE"], "event_timestamps": ["2026-01-02T03:04:05Z"]},
    ]
    both = [("7", b"\x01"), ("null", b"\x02")]
    assert (alone, seen) == encoding.together([1_767_323_045_000_000], both)
    many, counts = encoding.together([1_767_323_045_000_000, 0], [("7,null", b"\x01\x03")])
    assert json.loads(many) == {
        "values": [7, None],
        "statuses": ["PRESENT", "NOT_FOUND"],
        "event_timestamps": ["2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z"],
    }
    assert counts == [0, 1, 0, 1, 0]


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(), min_size=1, max_size=5))
@example([1e-05, 1e16, 1e22, 5e-324, -0.0])
def test_a_column_of_numbers_is_its_values_one_by_one(values: list[float | None]) -> None:
    assert encoding.members(values, encoding.encoder("DOUBLE")) == ",".join(map(encoding.scalar, values))


@settings(deadline=None)
@given(st.lists(st.none() | WHOLE, min_size=1, max_size=5))
def test_a_column_of_whole_numbers_is_its_values_one_by_one(values: list[int | None]) -> None:
    assert encoding.members(values, encoding.encoder("INT64")) == ",".join(map(encoding.scalar, values))


@pytest.mark.parametrize("value", ["123", {"1": 2}, 7])
@pytest.mark.parametrize("type_", ["INT64_LIST", "DOUBLE_SET", "BYTES_LIST"])
def test_what_is_no_list_is_not_made_one(type_: str, value: Any) -> None:
    """A text would become the list of its digits; the store refuses it as it is."""
    assert typed("n", [value, None], type_) == [value, None]
