"""What a value that is not there is called, and values that other stores bend."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from .conftest import Maker
from .repositories import ago, write
from .test_as_feast import VALUES

PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE = 1, 2, 3, 4


def statuses(answer: Any) -> dict[str, list[int]]:
    names = answer.proto.metadata.feature_names.val
    return {name: list(vector.statuses) for name, vector in zip(names, answer.proto.results, strict=True)}


def test_every_state(box: Any) -> None:
    """The life time of `recent` is one hour; what is older has no value but says so, with its time."""
    old = ago(hours=1, seconds=5)
    rows = [
        ({"user": 101}, {"clicks": 1, "note": None}, ago(minutes=50)),
        ({"user": 102}, {"clicks": 2, "note": "x"}, old),
    ]
    write(box, "recent", rows)
    answer = box.get_online_features(["recent:clicks", "recent:note"], {"user": [101, 102, 103, None]})
    assert answer.to_dict() == {"user": [101, 102, 103, None], "clicks": [1, None, None, None], "note": [None] * 4}
    assert statuses(answer) == {
        "user": [PRESENT] * 4,
        "clicks": [PRESENT, OUTSIDE_MAX_AGE, NOT_FOUND, NOT_FOUND],
        "note": [NULL_VALUE, OUTSIDE_MAX_AGE, NOT_FOUND, NOT_FOUND],
    }
    clicks = answer.proto.results[1]
    assert clicks.event_timestamps[1].seconds == int(old.timestamp()) and clicks.event_timestamps[2].seconds == 0
    assert answer.to_dict(include_event_timestamps=True)["clicks__ts"][1:3] == [int(old.timestamp()), 0]


def test_states_of_single_reads(box: Any) -> None:
    """`online_read` gives no values of a row that is too old; Feast's own callers take it for one that is missing."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    write(box, "recent", [({"user": 111}, {"clicks": 1, "note": "n"}, ago(hours=2))])
    keys = [EntityKey(join_keys=["user"], entity_values=[Value(int64_val=user)]) for user in (111, 112)]
    view = box.get_feature_view("recent")
    (event, values), missing = box.provider.online_store.online_read(box.config, view, keys, ["clicks"])
    assert event == pytest.approx(ago(hours=2), abs=timedelta(seconds=60)) and values is None
    assert missing == (None, None)


def test_an_older_row_does_not_replace_a_newer_one(box: Any) -> None:
    write(box, "recent", [({"user": 121}, {"clicks": 7, "note": None}, ago(minutes=1))])
    write(box, "recent", [({"user": 121}, {"clicks": -1, "note": None}, ago(minutes=2))])
    assert box.get_online_features(["recent:clicks"], [{"user": 121}]).to_dict()["clicks"] == [7]


def test_values_that_other_stores_bend(box: Any) -> None:
    """Whole numbers beyond 2^53 beside nulls, NaN, microseconds of event times, decimals, bytes that are no text."""
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)
    rest = dict.fromkeys(VALUES, None)
    values = {
        "whole": 2**63 - 1,
        "wholes": [2**53 + 1, -(2**63)],
        "exact": Decimal("0.1000000000000000000000000000000001"),
        "raw": b"\xff\x00",
        "raws": [b"", b"\xfe"],
    }
    write(box, "wide", [({"user": 131}, rest | values, moment), ({"user": 132}, rest, moment)])
    answer = box.get_online_features([f"wide:{name}" for name in values], {"user": [131, 132]})
    assert {name: answer.to_dict()[name] for name in values} == {name: [value, None] for name, value in values.items()}
    assert answer.proto.results[1].event_timestamps[0].nanos == 123456000


def test_not_a_number_is_a_number(box: Any) -> None:
    """Feast's own conversion takes NaN for null; the store does not."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import DoubleList, Value

    key = EntityKey(join_keys=["user"], entity_values=[Value(int64_val=141)])
    values = {"real": Value(double_val=math.nan), "reals": Value(double_list_val=DoubleList(val=[math.inf, math.nan]))}
    view = box.get_feature_view("wide")
    box.provider.online_write_batch(box.config, view, [(key, values, ago(minutes=1), None)], None)
    answer = box.get_online_features(["wide:real", "wide:reals"], [{"user": 141}])
    real, reals = answer.to_dict()["real"][0], answer.to_dict()["reals"][0]
    assert math.isnan(real) and reals[0] == math.inf and math.isnan(reals[1])
    assert statuses(answer)["real"] == [PRESENT] and math.isnan(answer.proto.results[1].values[0].double_val)


def test_features_that_a_batch_lacks_stay(box: Any) -> None:
    """Feast's stores keep one cell per feature, so writers may leave features out."""
    rest = dict.fromkeys(VALUES, None)
    write(box, "wide", [({"user": 151}, rest | {"whole": 1, "text": "old", "map": {"a": 1}}, ago(minutes=3))])
    write(box, "wide", [({"user": 151}, {"whole": 2}, ago(minutes=2)), ({"user": 152}, {"whole": 3}, ago(minutes=2))])
    answer = box.get_online_features(["wide:whole", "wide:text", "wide:map"], {"user": [151, 152]}).to_dict()
    assert answer == {"user": [151, 152], "whole": [2, 3], "text": ["old", None], "map": [{"a": 1}, None]}


def test_a_refused_batch_changes_nothing(box: Any) -> None:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    from boxplat.core.errors import BoxError

    keys = [EntityKey(join_keys=["user"], entity_values=[Value(int64_val=user)]) for user in (161, 162)]
    good, bad = {"clicks": Value(int64_val=1)}, {"clicks": Value(string_val="many")}
    view = box.get_feature_view("recent")
    data = [(keys[0], good, ago(minutes=1), None), (keys[1], bad, ago(minutes=1), None)]
    with pytest.raises(BoxError, match="recent cannot hold a value of clicks as INT64"):
        box.provider.online_write_batch(box.config, view, data, None)
    assert box.get_online_features(["recent:clicks"], {"user": [161, 162]}).to_dict()["clicks"] == [None, None]


def test_ages_of_a_replay(fresh: Maker) -> None:
    """With `clock: materialization` old data are as young as they were when they were loaded."""
    import pyarrow as pa

    from boxplat.features.online.plugin import rows_store

    store = fresh(clock="materialization")
    end = datetime(2013, 7, 1, tzinfo=UTC)
    events = pa.array([end - timedelta(minutes=30), end - timedelta(minutes=90)], pa.timestamp("us", tz="UTC"))
    with rows_store(store.config).load("recent") as load:
        columns = [("clicks", pa.array([1, 2])), ("note", pa.array(["a", "b"]))]
        load.write(0, 1, {"user": pa.array([1, 2])}, events, None, columns)
        load.commit(int(end.timestamp() * 1_000_000))
    answer = store.get_online_features(["recent:clicks"], {"user": [1, 2]})
    assert answer.to_dict()["clicks"] == [1, None] and statuses(answer)["clicks"] == [PRESENT, OUTSIDE_MAX_AGE]
