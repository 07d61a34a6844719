"""Values that pandas, protocol buffers or JSON spoil are the same offline, online and over HTTP."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.features.oracle.everywhere import BIG, ROWS, TYPES, Everywhere, made
from tests.features.oracle.model import same

KEYS = [3, 1, 2]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    """The repository after a materialization."""
    repo = made(tmp_path_factory.mktemp("exact") / "repo")
    repo.store.materialize(repo.moment - timedelta(days=1), repo.moment + timedelta(minutes=1))
    yield repo
    repo.store.teardown()


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    """The repository after the same rows were pushed, nothing materialized.

    The row of nulls by itself: of an integer beside a null Feast's push makes a float before any store sees it.
    """
    repo = made(tmp_path_factory.mktemp("pushed") / "repo")
    from feast.data_source import PushMode

    from tests.features.oracle.everywhere import rows

    for keys in ((1, 3), (2,)):
        frame = rows({key: ROWS[key] for key in keys}, repo.moment).to_pandas(types_mapper=types_mapper)
        repo.store.push("pushed", frame, to=PushMode.ONLINE)
    yield repo
    repo.store.teardown()


def types_mapper(type_: pa.DataType) -> Any:
    """pandas' own nullable integers, so that the frame that is pushed is exact to begin with."""
    import pandas as pd

    return {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}.get(type_)


def right(name: str, key: int) -> Any:
    return ROWS[key][name]


@pytest.mark.parametrize("name", TYPES)
def test_offline(loaded: Everywhere, name: str) -> None:
    found = loaded.offline(KEYS)[name]
    assert [same(value, right(name, key)) for value, key in zip(found, KEYS, strict=True)] == [True] * 3, found


@pytest.mark.parametrize("name", TYPES)
def test_online_after_a_materialization(loaded: Everywhere, name: str) -> None:
    found = loaded.online(KEYS)[name]
    assert [same(value, right(name, key)) for value, key in zip(found, KEYS, strict=True)] == [True] * 3, found


@pytest.mark.parametrize("name", [name for name in TYPES if name != "money"])
def test_online_as_arrow(loaded: Everywhere, name: str) -> None:
    found = loaded.columns(KEYS)[name]
    assert [same(value, right(name, key)) for value, key in zip(found, KEYS, strict=True)] == [True] * 3, found


@pytest.mark.parametrize("name", [name for name in TYPES if name not in ("moment", "moments")])
def test_online_after_a_push(pushed: Everywhere, name: str) -> None:
    """Feast's push turns times into whole seconds before any store sees them; all else arrives."""
    expected = [right(name, key) for key in KEYS]
    if name == "double":
        expected[1] = None  # its pandas step cannot tell NaN from null either
    found = pushed.online(KEYS)[name]
    assert [same(value, wanted) for value, wanted in zip(found, expected, strict=True)] == [True] * 3, found


@pytest.mark.parametrize("name", TYPES)
def test_over_http(loaded: Everywhere, name: str) -> None:
    found = loaded.http(KEYS)[name]
    assert [same(told(value, TYPES[name]), right(name, key)) for value, key in zip(found, KEYS, strict=True)] == [
        True,
        True,
        True,
    ], found


def told(value: Any, type_: pa.DataType) -> Any:
    """A value of the JSON answer as Python's own."""
    if value is None:
        return None
    if pa.types.is_list(type_):
        return [told(inner, type_.value_type) for inner in value]
    if pa.types.is_binary(type_):
        return b64decode(value)
    if pa.types.is_timestamp(type_):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(Decimal(value) * 1_000_000))
    if pa.types.is_decimal(type_):
        return Decimal(value)
    return float(value) if pa.types.is_floating(type_) else value


def test_integers_beside_nulls_pushed_over_http(pushed: Everywhere) -> None:
    moment = pushed.moment.isoformat()
    told_ = {name: [None, None] for name in TYPES} | {"big": [BIG, None], "bigs": [[-BIG], None]}
    frame = {"key": [60, 61], "event_timestamp": [moment] * 2, "created": [moment] * 2, **told_}
    pushed.post("/push", {"push_source_name": "pushed", "df": frame, "to": "online"})
    for read in (pushed.online, pushed.http):
        found = read([61, 60])
        assert (found["big"], found["bigs"]) == ([None, BIG], [None, [-BIG]])


def test_an_integer_beyond_2_to_53_as_a_key(loaded: Everywhere) -> None:
    """The neighbour of a key is another key."""
    from feast.data_source import PushMode

    from tests.features.oracle.everywhere import rows

    table = rows({BIG: ROWS[3], BIG - 1: ROWS[2]}, loaded.moment)
    loaded.store.push("pushed", table.to_pandas(types_mapper=types_mapper), to=PushMode.ONLINE)
    for read in (loaded.online, loaded.http):
        assert read([BIG, BIG - 1, BIG + 1])["big"] == [ROWS[3]["big"], None, None]


def test_a_late_older_row_does_not_replace_a_newer_one(loaded: Everywhere) -> None:
    from feast.data_source import PushMode

    from tests.features.oracle.everywhere import rows

    old = rows({1: ROWS[3]}, loaded.moment - timedelta(minutes=5))
    loaded.store.push("pushed", old.to_pandas(types_mapper=types_mapper), to=PushMode.ONLINE)
    assert loaded.online([1])["big"] == [BIG]


def test_materializing_again_changes_nothing(loaded: Everywhere) -> None:
    before = loaded.online(KEYS)
    loaded.store.materialize(loaded.moment - timedelta(days=1), loaded.moment + timedelta(minutes=1))
    again = loaded.online(KEYS)
    assert all(same(again[name], before[name]) for name in TYPES)


def test_statuses_are_those_that_feast_defines(loaded: Everywhere) -> None:
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    rows_ = [{"key": 1}, {"key": 2}, {"key": 77}]
    answer = loaded.store.get_online_features(features=["exact:big"], entity_rows=rows_).proto
    names = list(answer.metadata.feature_names.val)
    statuses = list(answer.results[names.index("big")].statuses)
    assert statuses == [FieldStatus.PRESENT, FieldStatus.NULL_VALUE, FieldStatus.NOT_FOUND]


def test_a_row_older_than_its_time_to_live_is_reported_as_such(loaded: Everywhere) -> None:
    from feast.data_source import PushMode
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    from tests.features.oracle.everywhere import rows

    old = rows({50: ROWS[1]}, datetime.now(UTC) - timedelta(days=1, minutes=1))
    loaded.store.push("pushed", old.to_pandas(types_mapper=types_mapper), to=PushMode.ONLINE)
    answer = loaded.store.get_online_features(features=["exact:big"], entity_rows=[{"key": 50}])
    names = list(answer.proto.metadata.feature_names.val)
    assert list(answer.proto.results[names.index("big")].statuses) == [FieldStatus.OUTSIDE_MAX_AGE]
    assert answer.to_dict()["big"] == [None]
