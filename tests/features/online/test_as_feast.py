"""Where Feast's sqlite store is right, boxplat's gives the same dictionaries and messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError

from .repositories import ago, write

WHOLE = st.integers(-(2**63), 2**63 - 1)
REAL = st.floats(allow_nan=False)
TIME = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SMALL = st.dictionaries(st.text(max_size=4), st.one_of(WHOLE, st.text(max_size=4), st.booleans()), max_size=3)
# Feast turns an empty list inside a map, and what it does with nulls in lists, into something else: not asked here.
VALUES = {
    "whole": WHOLE,
    "short": st.integers(-(2**31), 2**31 - 1),
    "real": REAL,
    "single": st.floats(width=32, allow_nan=False),
    "yes": st.booleans(),
    "text": st.text(max_size=8),
    "raw": st.binary(max_size=8),
    "at": TIME,
    "exact": st.decimals(allow_nan=False, allow_infinity=False),
    "id": st.uuids(),
    "doc": SMALL.map(json.dumps),
    "map": SMALL,
    "wholes": st.lists(WHOLE, max_size=3),
    "reals": st.lists(REAL, max_size=3),
    "texts": st.lists(st.text(max_size=4), max_size=3),
    "raws": st.lists(st.binary(max_size=4), max_size=3),
    "flags": st.lists(st.booleans(), max_size=3),
    "times": st.lists(TIME, max_size=3),
    "some": st.sets(WHOLE, min_size=1, max_size=3),
    "words": st.sets(st.text(max_size=4), min_size=1, max_size=3),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})
USERS = range(1000, 1006)
_steps = iter(range(10**9))


def columns(response: Any) -> dict[str, Any]:
    """A response message by feature; values that are there but null as Feast itself defines their status."""
    found = {}
    for name, vector in zip(response.metadata.feature_names.val, response.results, strict=True):
        statuses = [
            2 if status == 1 and value.WhichOneof("val") is None else status
            for status, value in zip(vector.statuses, vector.values, strict=True)
        ]
        found[name] = (list(map(comparable, vector.values)), statuses, list(vector.event_timestamps))
    return found


def comparable(value: Any) -> Any:
    """A message without the order of maps and sets, which means nothing."""
    name = value.WhichOneof("val")
    if name in ("some_set_val", "int64_set_val", "string_set_val"):
        return name, sorted(getattr(value, name).val)
    return value


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(st.sampled_from(USERS), ROW), min_size=1, max_size=4, unique_by=lambda row: row[0]),
    wanted=st.lists(st.sampled_from(list(VALUES)), min_size=1, unique=True),
    users=st.lists(st.sampled_from([*USERS, 1, 2]), min_size=1, max_size=6),
    full=st.booleans(),
    as_columns=st.booleans(),
)
def test_every_type(
    box: Any, stock: Any, rows: Any, wanted: list[str], users: list[int], full: bool, as_columns: bool
) -> None:
    """Random rows over the old ones, random requests with unknown and repeated users."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(_steps))
    request: Any = {"user": users} if as_columns else [{"user": user} for user in users]
    answers = []
    for store in (box, stock):
        write(store, "wide", [({"user": user}, values, moment) for user, values in rows])
        references = [f"wide:{name}" for name in wanted]
        answers.append(store.get_online_features(references, request, full_feature_names=full))
    ours, theirs = answers
    assert ours.to_dict(include_event_timestamps=True) == theirs.to_dict(include_event_timestamps=True)
    assert columns(ours.proto) == columns(theirs.proto)


def test_several_views(box: Any, stock: Any) -> None:
    """Two keys, one key and none in one service; keys come back first, in the order of the request."""
    for store in (box, stock):
        write(store, "recent", [({"user": 1}, {"clicks": 5, "note": "a"}, ago(minutes=1))])
        write(store, "pair", [({"user": 1, "shop": "x"}, {"spent": 2.5}, ago(minutes=2))])
        write(store, "common", [({}, {"rate": 0.5}, ago(minutes=3))])
    request = [{"shop": "x", "user": 1}, {"shop": "y", "user": 1}, {"shop": "x", "user": 9}]
    ours, theirs = (store.get_online_features(store.get_feature_service("plain_v1"), request) for store in (box, stock))
    assert ours.to_dict() == theirs.to_dict()
    assert columns(ours.proto).keys() == columns(theirs.proto).keys()
    names = list(ours.proto.metadata.feature_names.val)
    assert names == ["shop", "user", "clicks", "note", "spent", "rate"] and list(ours.to_dict()) == names
    assert ours.to_dict()["rate"] == [0.5, 0.5, 0.5] and ours.to_dict()["spent"] == [2.5, None, None]


def test_a_view_twice_under_other_keys(box: Any, stock: Any) -> None:
    for store in (box, stock):
        write(store, "recent", [({"user": user}, {"clicks": user, "note": ""}, ago(minutes=1)) for user in (21, 22)])
    request = {"buyer_id": [21, 22, 23], "seller_id": [22, 22, 21]}
    ours, theirs = (
        store.get_online_features(store.get_feature_service("trips_v1"), request, full_feature_names=True).to_dict()
        for store in (box, stock)
    )
    assert ours == theirs
    assert (ours["buyer__clicks"], ours["seller__clicks"]) == ([21, 22, None], [22, 22, 21])


def test_transformed_on_demand(box: Any, stock: Any) -> None:
    """Request data goes to the function, and so do values exactly as stored; inputs nobody asked for are dropped."""
    for store in (box, stock):
        write(store, "recent", [({"user": 31}, {"clicks": 3, "note": "n"}, ago(minutes=1))])
        write(store, "pair", [({"user": 31, "shop": "x"}, {"spent": 2.5}, ago(minutes=1))])
    request = [{"user": 31, "shop": "x", "extra": 10.0}, {"user": 31, "shop": "x", "extra": 20.0}]
    ours, theirs = (
        store.get_online_features(store.get_feature_service("summed_v1"), request).to_dict() for store in (box, stock)
    )
    assert ours == theirs and ours["total"] == [12.5, 22.5] and "spent" not in ours


def test_transformed_on_write(box: Any, stock: Any) -> None:
    import pandas as pd

    frame = pd.DataFrame({"user": [41], "clicks": [7], "note": ["n"], "ts": [ago(minutes=1)], "made": [ago(minutes=1)]})
    for store in (box, stock):
        store.write_to_online_store("kept", frame)
    ours, theirs = (store.get_online_features(["kept:doubled"], [{"user": 41}]).to_dict() for store in (box, stock))
    assert ours == theirs == {"user": [41], "doubled": [14]}


def test_messages_as_keys(box: Any) -> None:
    """Feast's servers hand over messages instead of plain values."""
    from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value

    write(box, "recent", [({"user": 51}, {"clicks": 5, "note": None}, ago(minutes=1))])
    several = [Value(int64_val=51), Value(int64_val=52)]
    for request in ({"user": several}, {"user": RepeatedValue(val=several)}):
        assert box.get_online_features(["recent:clicks"], request).to_dict() == {"user": [51, 52], "clicks": [5, None]}


def test_an_entity_s_name_for_its_key(box: Any) -> None:
    """Old code gives the entity's name instead of the join key; Feast still takes it, with a warning."""
    write(box, "pair", [({"user": 61, "shop": "x"}, {"spent": 1.0}, ago(minutes=1))])
    with pytest.warns(UserWarning, match="entity name is deprecated"):
        answer = box.get_online_features(["pair:spent"], [{"user": 61, "shop_entity": "x"}])
    assert answer.to_dict() == {"user": [61], "shop": ["x"], "spent": [1.0]}


def test_other_columns_of_a_request(box: Any, stock: Any) -> None:
    """A key that only other views have comes back; what is no key at all does not."""
    request = [{"user": 1, "shop": "x", "unheard_of": 3}]
    ours, theirs = (store.get_online_features(["recent:clicks"], request).to_dict() for store in (box, stock))
    assert list(ours) == list(theirs) == ["user", "shop", "clicks"]


def test_names_that_collide(box: Any) -> None:
    from feast.errors import FeatureNameCollisionError

    with pytest.raises(FeatureNameCollisionError) as caught:
        box.get_online_features(["recent:clicks", "recent:clicks"], [{"user": 1}])
    assert isinstance(caught.value, BoxError) and "clicks" in caught.value.why and caught.value.fix


@pytest.mark.parametrize(
    ("reference", "kind", "words"),
    [
        ("recent:click", "KeyError", "did you mean 'clicks'"),
        ("recnt:clicks", "FeatureViewNotFoundException", "did you mean 'recent'"),
        ("recent", "ValueError", "'recent' names no feature"),
        ("summed:totl", "KeyError", "did you mean 'total'"),
    ],
)
def test_features_that_do_not_exist(box: Any, stock: Any, reference: str, kind: str, words: str) -> None:
    """The error has four parts, and the class that Feast's own error has."""
    caught = []
    for store in (box, stock):
        with pytest.raises(Exception) as error:
            store.get_online_features([reference], [{"user": 1, "shop": "x", "extra": 1.0}])
        caught.append(error.value)
    ours, theirs = caught
    assert isinstance(ours, type(theirs)) and type(ours).__name__ == type(theirs).__name__ == kind
    assert isinstance(ours, BoxError) and words in ours.what and str(ours).startswith("error: ")


def test_a_service_that_is_not_registered(box: Any) -> None:
    from feast import FeatureService
    from feast.errors import FeatureServiceNotFoundException

    with pytest.raises(FeatureServiceNotFoundException) as caught:
        box.get_online_features(FeatureService(name="plain_v2", features=[]), [{"user": 1}])
    assert isinstance(caught.value, BoxError) and "did you mean 'plain_v1'" in caught.value.what


async def _twice(store: Any, names: Sequence[str]) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    view = store.get_feature_view("recent")
    key = EntityKey(join_keys=["user"], entity_values=[Value(int64_val=71)])
    value = {"clicks": Value(int64_val=1), "note": Value(string_val="n")}
    await store.provider.online_write_batch_async(store.config, view, [(key, value, ago(minutes=1), None)], None)
    read = await store.provider.online_read_async(store.config, view, [key], list(names))
    return read, await store.get_online_features_async([f"recent:{name}" for name in names], [{"user": 71}])


@pytest.mark.anyio
async def test_asynchronous_forms(box: Any) -> None:
    read, answer = await _twice(box, ["clicks"])
    assert answer.to_dict() == {"user": [71], "clicks": [1]}
    assert [(set(values), values["clicks"].int64_val) for _, values in read] == [({"clicks"}, 1)]


def test_versions_are_told(box: Any, stock: Any) -> None:
    ours, theirs = (
        store.get_online_features(["pair:spent"], [{"user": 1, "shop": "x"}], False, True).proto.metadata
        for store in (box, stock)
    )
    assert list(ours.feature_view_metadata) == list(theirs.feature_view_metadata) != []


def test_a_service_that_is_computed_beforehand(box: Any) -> None:
    """Feast can fill such a service only in Redis and refuses to read it elsewhere; here reading is as fast anyway."""
    write(box, "recent", [({"user": 81}, {"clicks": 8, "note": "n"}, ago(minutes=1))])
    answer = box.get_online_features(box.get_feature_service("ready_v1"), [{"user": 81}])
    assert answer.to_dict()["clicks"] == [8]


def test_precomputed_vectors_are_kept(box: Any) -> None:
    """Feast writes them under a view that nobody has defined."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    online = box.provider.online_store
    there, not_there = (EntityKey(join_keys=["user"], entity_values=[Value(int64_val=n)]) for n in (91, 92))
    assert online.read_precomputed_vectors(box.config, "ready_v1", box.project, [there]) == [None]
    online.write_precomputed_vector(box.config, "ready_v1", box.project, there, b"\x00\xff")
    assert online.read_precomputed_vectors(box.config, "ready_v1", box.project, [there, not_there]) == [
        b"\x00\xff",
        None,
    ]


def test_tables_and_tensors(box: Any) -> None:
    """They come from the columns, with their types; nobody needs the messages for them."""
    import pyarrow as pa

    values = {"whole": 2**53 + 1, "real": 0.5, "short": 7, "exact": Decimal("1.10"), "texts": ["a"], "text": None}
    rest = dict.fromkeys(VALUES, None)
    write(box, "wide", [({"user": 95}, rest | values, ago(minutes=1))])
    references = [f"wide:{name}" for name in values]
    answer = box.get_online_features(references, [{"user": 95}, {"user": 96}])
    table = answer.to_arrow()
    types = [pa.int64(), pa.float64(), pa.int32(), pa.string(), pa.list_(pa.string()), pa.string()]
    assert [table.schema.field(name).type for name in values] == types
    assert table["whole"].to_pylist() == [2**53 + 1, None] and table["exact"].to_pylist() == ["1.10", None]
    assert answer.to_df()["real"].tolist()[0] == 0.5
    tensors = answer.to_tensor(default_value=-1)
    assert tensors["short"].tolist() == [7, -1] and tensors["texts"] == [["a"], -1]
    assert "proto" not in vars(answer)
