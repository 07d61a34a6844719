"""A few entities are read without columns, several views by keys encoded once: the answers are the same."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError
from boxplat.features.rows import Rows, Store, heap
from boxplat.features.rows.asked import asked_keys
from boxplat.features.rows.few import Few
from boxplat.features.rows.keys import Key, encode_keys
from boxplat.features.rows.keysets import keyset_of
from boxplat.features.rows.layout import Layout
from boxplat.features.rows.plainkeys import FEW, FEW_HASHED, few_keys
from boxplat.features.schema import Field, View
from tests.features.rows.worlds import KEYS, VALUES, same

KEY_VALUES: dict[str, st.SearchStrategy[Any]] = {
    name: st.none() | st.sampled_from(KEYS.get(name, [0.0, -0.0])) | VALUES[name] for name in [*KEYS, "FLOAT"]
}
TYPES = st.lists(st.sampled_from(sorted(KEY_VALUES)), max_size=4)


def columns_of(types: list[str], count: int, draw: Any) -> dict[str, list[Any]]:
    return {f"k{at}": draw(st.lists(KEY_VALUES[name], min_size=count, max_size=count)) for at, name in enumerate(types)}


@settings(deadline=None, max_examples=300)
@given(TYPES, st.integers(1, FEW), st.data())
def test_keys_one_by_one_are_those_of_columns(types: list[str], count: int, data: st.DataObject) -> None:
    layout = Layout(tuple((f"k{at}", name) for at, name in enumerate(types)), ())
    columns = columns_of(types, count, data.draw) or {"": range(count)}
    found = few_keys(layout, columns)
    if found is None:
        # What Arrow makes of a NaN is left to Arrow.
        assert any(value != value for column in columns.values() for value in column)
        return
    for keys in (encode_keys(layout, columns, "view"), asked_keys(layout, columns, "view")):
        valid = np.ones(count, bool) if keys.valid is None else keys.valid
        expected: list[Key | None] = [
            Key(sort) if ok else None for sort, ok in zip(keys.sort.tolist(), valid, strict=True)
        ]
        if keys.starts is not None and keys.lengths is not None and keys.heap is not None:
            spans = zip(expected, keys.starts.tolist(), keys.lengths.tolist(), strict=True)
            expected = [key and Key(key.sort, bytes(keys.heap[at : at + size])) for key, at, size in spans]
        assert found == expected


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8))
def test_the_hash_of_one_is_that_of_many(values: list[bytes]) -> None:
    lengths = np.array([len(value) for value in values], np.int64)
    packed = np.frombuffer(b"".join(values), np.uint8)
    many = heap.hashes(packed, heap.offsets_of(lengths)[:-1], lengths)
    assert many.tolist() == [heap.hash_one(value) for value in values]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [True]},
        {"a": ["1"]},
        {"a": [1.0]},
        {"a": np.array([1], np.int32)},
        {"a": []},
        {"b": [1]},
        {"a": pa.array([1])},
        {"a": list(range(FEW + 1))},
    ],
)
def test_everything_else_is_left_to_columns(columns: dict[str, Any]) -> None:
    assert few_keys(Layout((("a", "INT64"),), ()), columns) is None


def test_how_many_are_few() -> None:
    text, whole = Layout((("a", "STRING"),), ()), Layout((("a", "INT64"),), ())
    assert len(few_keys(text, {"a": ["x"] * FEW_HASHED}) or ()) == FEW_HASHED
    assert few_keys(text, {"a": ["x"] * (FEW_HASHED + 1)}) is None
    assert few_keys(whole, {"a": np.arange(3)}) == few_keys(whole, {"a": [0, 1, np.int64(2)]})
    assert few_keys(whole, {"a": [2**63, None]}) == [None, None]


def agree(few: Rows, many: Rows) -> None:
    """Every form of every answer; the types of NumPy and Arrow too."""
    assert isinstance(few, Few) and not isinstance(many, Few)
    assert len(few) == len(many)
    assert few.status.tolist() == many.status.tolist()
    assert few.event_us.tolist() == many.event_us.tolist() and few.event_us.dtype == many.event_us.dtype
    for field in many.fields:
        assert all(map(same, few.python(field), many.python(field)))
        assert few.statuses(field).tolist() == many.statuses(field).tolist()
        (mine, mine_valid), (theirs, theirs_valid) = few.numpy(field), many.numpy(field)
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape and mine.flags.writeable
        assert mine_valid.dtype == bool and mine_valid.tolist() == theirs_valid.tolist()
        assert all(map(same, mine.tolist(), theirs.tolist()))
        one, other = few.arrow(field), many.arrow(field)
        one.validate(full=True)
        assert one.type == other.type and one.null_count == other.null_count
        assert all(map(same, one.to_pylist(), other.to_pylist()))
    for number in range(len(many)):
        (status, record, _), (expected, values, _) = few.row(number), many.row(number)
        assert status == expected and same(list(record), list(values))


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_answers_are_those_of_columns(data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    key = data.draw(st.sampled_from(["INT64", "STRING"]))
    ids: list[Any] = list(range(6)) if key == "INT64" else list("abcdef")
    fields = tuple(Field(f"f{at}", name) for at, name in enumerate(types))
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.define(View("v", (Field("k", key),), fields, 5_000_000))
        for some, loaded in ((ids[:4], True), (ids[2:5], False)):
            rows = {"k": some, "t": data.draw(st.lists(st.integers(1, 12), min_size=len(some), max_size=len(some)))}
            for field in fields:
                strategy = st.none() | VALUES[field.type]
                rows[field.name] = data.draw(st.lists(strategy, min_size=len(some), max_size=len(some)))
            store.push("v", rows, "t")
            if loaded:
                with store.load("v") as load:
                    load.commit(None)
        asked = {"k": data.draw(st.lists(st.sampled_from([*ids, None]), min_size=1, max_size=8))}
        now = 11_000_000
        agree(store.read("v", asked, None, now), store.read("v", asked, None, np.full(len(asked["k"]), now)))


def stored(folder: Path, keys: dict[str, list[int]], type_: str = "INT64") -> Store:
    """Views of one field that holds `view:key`."""
    store = Store(folder)
    for name, ids in keys.items():
        store.define(View(name, (Field("k", type_),), (Field("f", "STRING"),), None))
        given_: list[Any] = list(ids) if type_ == "INT64" else list(map(str, ids))
        store.push(name, {"k": given_, "t": [1] * len(ids), "f": [f"{name}:{key}" for key in ids]}, "t")
        with store.load(name) as load:
            load.commit(None)
    return store


@pytest.mark.parametrize("type_", ["INT64", "STRING"])
@pytest.mark.parametrize("count", [3, 200])
def test_keys_that_were_encoded_once_serve_several_views(tmp_path: Path, type_: str, count: int) -> None:
    all_, odd = list(range(100)), list(range(1, 100, 2))
    keys = {"one": all_, "two": all_, "other": odd, "three": all_}
    store = stored(tmp_path, keys, type_)
    store.push("two", {"k": [4 if type_ == "INT64" else "4"], "t": [2], "f": ["pushed"]}, "t")
    ids = [(at * 2) % 103 for at in range(count)]
    columns = {"k": ids if type_ == "INT64" else list(map(str, ids))}
    asked = store.asked(columns)
    for name in (*keys, *reversed(keys)):
        expected = [f"{name}:{key}" if key in keys[name] else None for key in ids]
        if name == "two":
            expected = ["pushed" if key == 4 else text for key, text in zip(ids, expected, strict=True)]
        assert store.read(name, asked).python("f") == store.read(name, columns).python("f") == expected


def test_the_same_keys_for_views_with_keys_of_other_types(tmp_path: Path) -> None:
    store = stored(tmp_path / "a", {"whole": [1, 2]})
    store.define(View("double", (Field("k", "DOUBLE"),), (Field("f", "STRING"),), None))
    store.push("double", {"k": [1.0], "t": [1], "f": ["double:1"]}, "t")
    for count in (2, 40):
        asked = store.asked({"k": [1, 3] * (count // 2)})
        for _ in range(2):
            assert store.read("whole", asked).python("f") == ["whole:1", None] * (count // 2)
            assert store.read("double", asked).python("f") == ["double:1", None] * (count // 2)
    with pytest.raises(BoxError):
        store.read("whole", store.asked({"other": [1]}))


def test_equal_checksums_are_not_equal_keys() -> None:
    one, same_, other = np.arange(4, dtype=np.uint64), np.arange(4, dtype=np.uint64), np.arange(1, 5, dtype=np.uint64)
    first = keyset_of(one, 7)
    assert keyset_of(same_, 7) is first
    assert keyset_of(other, 7) is not first
