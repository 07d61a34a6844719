"""What a store promises by name: keys, guards, schema changes, collisions, errors, and what a cold read loads."""

from __future__ import annotations

import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from boxplat.core.errors import BoxError
from boxplat.features.rows import Store, buckets, heap, partition_of
from boxplat.features.schema import Field, View

ONE = (Field("n", "INT64"),)


def view(*keys: tuple[str, str], fields: tuple[Field, ...] = ONE, name: str = "v") -> View:
    return View(name, tuple(Field(*key) for key in keys), fields)


def pushed(folder: Path, shape: View, keys: dict[str, Any], events: Any = None) -> Store:
    """A store whose rows hold their own number."""
    store, count = Store(folder), len(next(iter(keys.values()))) if keys else 1
    store.define(shape)
    store.push(shape.name, {**keys, "n": np.arange(count), "t": np.arange(count) if events is None else events}, "t")
    return store


def test_parts_of_a_key_are_not_run_together(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "STRING"), ("b", "STRING")), {"a": ["1", "11", ""], "b": ["11", "1", "111"]})
    rows = store.read("v", {"b": ["1", "11", "111", "11"], "a": ["11", "1", "", "11"]})
    assert rows.python("n") == [1, 0, 2, None]


def test_the_order_of_keys_in_a_view_does_not_matter(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "STRING"), ("b", "INT64")), {"a": ["x"], "b": [5]})
    store.define(view(("b", "INT64"), ("a", "STRING")))
    assert store.read("v", {"a": ["x"], "b": [5]}).python("n") == [0]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("type_", "keys", "asked"),
    [
        ("INT64", [1, 2], np.array([1, 2], np.int32)),
        ("INT64", [1, 2], np.array([1.0, 2.0])),
        ("INT64", [1, 2], pa.array([1, 2], pa.uint8())),
        ("INT32", [1, 2], [1, 2]),
        ("STRING", ["a", "é"], np.array(["a", "é"])),
        ("STRING", ["a", "é"], pa.array(["a", "é"]).dictionary_encode()),
        ("DECIMAL", [Decimal("1.0"), Decimal("2")], [Decimal(1), Decimal("2.00")]),
        ("DECIMAL", [Decimal("1.0"), Decimal("2")], pa.array([Decimal("1.000"), Decimal("2.000")])),
        ("DOUBLE", [0.0, 1.5], np.array([-0.0, 1.5], np.float32)),
        ("UUID", ["01234567-89AB-cdef-0123-456789abcdef", "0" * 8 + "-0000-0000-0000-" + "0" * 12], None),
    ],
)
def test_keys_of_another_form_find_their_rows(
    tmp_path: Path, type_: str, keys: list[Any], asked: Any, many: bool
) -> None:
    shape = view(("a", type_), ("b", "INT64")) if many else view(("a", type_))
    more = {"b": [7, 7]} if many else {}
    store = pushed(tmp_path, shape, {"a": keys, **more})
    assert store.read("v", {"a": keys if asked is None else asked, **more}).python("n") == [0, 1]


@pytest.mark.parametrize(
    ("type_", "asked"),
    [
        ("INT64", ["1"]),
        ("INT64", [1.5]),
        ("INT64", [True]),
        ("INT64", ["1", "2"]),
        ("INT64", [1, "2"]),
        ("INT64", [1.5, 2.0]),
        ("STRING", [1]),
        ("STRING", [1, 2]),
        ("STRING", ["a", 2]),
        ("STRING", [b"a"]),
    ],
)
def test_keys_of_another_type_are_refused(tmp_path: Path, type_: str, asked: list[Any]) -> None:
    store = pushed(tmp_path, view(("a", type_)), {"a": [1] if type_ == "INT64" else ["a"]})
    with pytest.raises(BoxError) as caught:
        store.read("v", {"a": asked})
    assert "'a'" in caught.value.what
    assert "'v'" in caught.value.what
    assert int(caught.value.code) == 2


def test_a_number_that_no_key_can_be_is_not_found(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "INT64")), {"a": [0, -1]})
    assert store.read("v", {"a": [2**64, -(2**63) - 1, None, 0, -1]}).status.tolist() == [3, 3, 3, 1, 1]
    assert store.read("v", {"a": [2**64 - 1]}).status.tolist() == [3], "not the key -1"
    assert store.read("v", {"a": [None]}).status.tolist() == [3]


def test_no_entities_give_no_rows(tmp_path: Path) -> None:
    for at, type_ in enumerate(["INT64", "STRING", "DOUBLE"]):
        rows = pushed(tmp_path / str(at), view(("a", type_)), {"a": []}).read("v", {"a": []})
        assert (len(rows), rows.python("n"), rows.status.tolist()) == (0, [], [])
        assert len(rows.arrow("n")) == 0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "INT64"), ("b", "INT64")), {"a": [1], "b": [1]})
    for ask, name in [
        (lambda: store.read("w", {"a": [1]}), "'w'"),
        (lambda: store.read("v", {"a": [1], "b": [1]}, ["m"]), "v:m"),
        (lambda: store.read("v", {"a": [1]}), "'b'"),
        (lambda: store.read("v", {"a": [1], "b": [1]}, []).python("n"), "'n'"),
        (lambda: store.read("v", {"a": [1, 2], "b": [1]}), "a, b"),
        (lambda: store.push("w", {}, "t"), "'w'"),
    ]:
        with pytest.raises(BoxError) as caught:
            ask()
        assert name in caught.value.what


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n": None}, "n"),
        ({"a": None}, "a"),
        ({"t": None}, "t"),
        ({"a": [1, None]}, "null"),
        ({"t": pa.array([1, None], pa.timestamp("us"))}, "null"),
        ({"t": ["never", "ever"]}, "time"),
        ({"n": [1]}, "values"),
        ({"t": [1]}, "times"),
    ],
)
def test_a_bad_push_changes_nothing(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    store = pushed(tmp_path, view(("a", "INT64")), {"a": [1, 2]})
    table: dict[str, Any] = {"a": [1, 2], "n": [8, 9], "t": np.array([50, 50])} | change
    table = {name: column for name, column in table.items() if column is not None}
    with pytest.raises(BoxError) as caught:
        store.push("v", table, "t")
    assert word in str(caught.value)
    assert Store(tmp_path).read("v", {"a": [1, 2]}).python("n") == [0, 1]


def test_older_never_replaces_newer(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "INT64")), {"a": [1]}, events=np.array([100]))

    def push(event: int, made: int | None, number: int) -> int:
        table = {"a": [1], "n": [number], "t": np.array([event]), "c": pa.array([made], pa.timestamp("us"))}
        return store.push("v", table, "t", "c")

    for event, made, number, wins in [
        (99, 9, 1, 0),
        (100, None, 2, 1),
        (100, 5, 3, 1),
        (100, 4, 4, 0),
        (100, None, 5, 0),
        (100, 5, 6, 1),
        (101, None, 7, 1),
    ]:
        assert push(event, made, number) == wins
    assert store.read("v", {"a": [1]}).python("n") == [7]
    with store.load("v") as load:
        load.write(0, 1, {"a": [1, 2]}, np.array([100, 100]), None, [("n", [8, 9])])
        load.commit(1)
    assert store.read("v", {"a": [1, 2]}).python("n") == [7, 9]


def test_a_push_during_a_load_is_kept(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "INT64")), {"a": [1, 2, 3]}, events=np.array([5, 5, 5]))
    with store.load("v") as load:
        load.write(0, 1, {"a": [1, 2, 4]}, np.array([10, 10, 10]), None, [("n", [11, 12, 14])])
        store.push("v", {"a": [2, 5], "n": [22, 25], "t": np.array([20, 1])}, "t")
        store.push("v", {"a": [1], "n": [21], "t": np.array([7])}, "t")
        load.commit(10)
    for reader in (store, Store(tmp_path)):
        assert reader.read("v", {"a": [1, 2, 3, 4, 5]}).python("n") == [11, 22, 2, 14, 25]


def test_all_rows_of_one_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key collides with every other: the key bytes decide, in segments, logs and batches."""
    monkeypatch.setattr(heap, "hashes", lambda raw, starts, lengths: np.full(len(starts), 2**63 + 5, np.uint64))
    monkeypatch.setattr(heap, "hash_one", lambda raw: 2**63 + 5)
    names = [f"key {at}" for at in range(60)]
    store = Store(tmp_path)
    store.define(view(("a", "STRING")))
    with store.load("v") as load:
        load.write(0, 1, {"a": names[:40]}, np.full(40, 1), None, [("n", np.arange(40))])
        load.commit(1)
    assert store.push("v", {"a": names[30:50] * 2, "n": np.arange(130, 170), "t": np.full(40, 2)}, "t") == 20
    expected = [*range(30), *range(150, 170), *[None] * 10]
    for again in range(2):
        assert store.read("v", {"a": names}).python("n") == expected
        assert [store.read("v", {"a": [name]}).python("n")[0] for name in names] == expected
        if not again:
            with store.load("v") as load:
                load.write(0, 1, {"a": names[:2] * 3}, np.full(6, 1), None, [("n", [5, 6, 7, 8, 0, 1])])
                load.commit(1)


def test_one_and_many_are_found_alike() -> None:
    random = np.random.default_rng(3)
    raw = random.integers(0, 256, 5000).astype(np.uint8)
    lengths = random.integers(0, 40, 200)
    starts = random.integers(0, 5000 - lengths)
    hashed = heap.hashes(raw, starts, lengths)
    parts = [raw[start : start + length].tobytes() for start, length in zip(starts, lengths, strict=True)]
    assert hashed.tolist() == [heap.hash_one(part) for part in parts]
    assert len(set(hashed.tolist())) == len(set(parts))
    numbers = np.array([0, 1, -1, 2**63 - 1, -(2**63), *random.integers(-(2**62), 2**62, 100)])
    assert heap.mix(numbers).tolist() == [heap.mix_one(number) for number in numbers.tolist()]


def test_numbers_that_agree_in_their_upper_bits_are_sorted() -> None:
    random = np.random.default_rng(4)
    upper = random.integers(0, 4, 3000).astype(np.uint64) << np.uint64(60)
    for sort in (upper | random.integers(0, 2000, 3000).astype(np.uint64), upper, upper[:0]):
        assert heap.order_of(sort).tolist() == np.argsort(sort, kind="stable").tolist()


@pytest.mark.parametrize("upper", [64, 30, 0])
def test_buckets_of_many_hashes_begin_where_a_search_finds_them(upper: int) -> None:
    """More than are counted at once; also when all of them are in a few buckets."""
    sort = np.sort(np.random.default_rng(5).integers(0, 2**63, 150_000).astype(np.uint64) * np.uint64(2))
    sort = np.sort((sort >> np.uint64(64 - upper)) if 0 < upper < 64 else sort * np.uint64(upper == 64))
    starts = buckets.starts_of(sort)
    bits = buckets.bits_for(len(sort))
    first = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    assert starts.tolist() == [*np.searchsorted(sort, first).tolist(), len(sort)]


@pytest.mark.parametrize("type_", ["INT64", "STRING"])
def test_large_views_of_several_partitions(tmp_path: Path, type_: str) -> None:
    """Enough rows that buckets are shared, read as one, some and many."""
    shape, count = view(("a", type_)), 20_000
    keys: Any = np.arange(count) * 3 if type_ == "INT64" else np.array([f"k{at * 3}" for at in range(count)])
    store = Store(tmp_path)
    store.define(shape)
    parts = partition_of(shape, {"a": keys}, 3)
    with store.load("v") as load:
        for number in range(3):
            mine = np.flatnonzero(parts == number)
            load.write(number, 3, {"a": keys[mine]}, np.full(len(mine), 1), None, [("n", mine)])
        load.commit(1)
    asked = np.random.default_rng(6).integers(0, count * 3, 5000)
    expected = [at // 3 if at % 3 == 0 else None for at in asked.tolist()]
    wanted: list[Any] = asked.tolist() if type_ == "INT64" else [f"k{at}" for at in asked.tolist()]
    assert store.read("v", {"a": wanted}).python("n") == expected
    assert store.read("v", {"a": wanted[:30]}).python("n") == expected[:30]
    assert [store.read("v", {"a": [key]}).python("n")[0] for key in wanted[:200]] == expected[:200]
    with store.load("v") as load, pytest.raises(ValueError, match="does not belong"):
        load.write(0, 3, {"a": keys}, np.full(count, 1), None, [])


def test_a_load_leaves_out_rows_without_a_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.define(view(("a", "STRING")))
    with store.load("v") as load:
        assert load.write(0, 1, {"a": ["x", None, "y"]}, np.full(3, 1), None, [("n", [1, 2, 3])]) == 2
        load.commit(1)
    assert store.status("v").rows == 2
    assert store.read("v", {"a": ["x", "y", None]}).python("n") == [1, 3, None]


def test_names_of_any_kind(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store")
    names = ["..", ".hidden", "a/b", "é" * 200, "with space", "CON", ".control"]
    for name in names:
        store.define(view(("a", "INT64"), name=name))
    assert set(Store(tmp_path / "deep" / "store").views()) == set(names)
    assert store.view("a/b").name == "a/b"


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    for bad in ("INT65", "UNKNOWN", "_LIST", "MAP_SET"):
        with pytest.raises(BoxError, match=bad):
            Store(tmp_path).define(view(("a", "INT64"), fields=(Field("x", bad),)))
    assert Store(tmp_path).views() == ()


def test_threads_read_while_another_pushes(tmp_path: Path) -> None:
    store = pushed(tmp_path, view(("a", "INT64")), {"a": np.arange(50)})
    failures: list[BaseException] = []
    ended = threading.Event()

    def read_on() -> None:
        last = np.zeros(50, np.int64)
        while not ended.is_set():
            try:
                numbers, valid = store.read("v", {"a": np.arange(50)}).numpy("n")
                assert valid.all() and (numbers >= last).all()
                last = numbers
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=read_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for event in range(100, 220):
        store.push("v", {"a": np.arange(50), "n": np.full(50, event), "t": np.full(50, event)}, "t")
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_cold_read_loads_neither_pandas_nor_feast(tmp_path: Path) -> None:
    fields = (
        Field("n", "INT64"),
        Field("b", "BOOL"),
        Field("s", "STRING"),
        Field("l", "DOUBLE_LIST"),
        Field("t", "UNIX_TIMESTAMP"),
    )
    store = Store(tmp_path)
    for name, type_, key in [("v", "INT64", 1), ("w", "STRING", "a")]:
        store.define(view(("a", type_), fields=fields, name=name))
        store.push(name, {"a": [key], "n": [1], "b": [True], "s": ["x"], "l": [[0.5]], "t": [5]}, "t")
        with store.load(name) as load:
            load.commit(None)
    program = f"""
import sys
from boxplat.features.rows import Store
store = Store({str(tmp_path)!r})
for view, keys in (("v", [1]), ("v", [1, None, 2]), ("w", ["a"]), ("w", ["a", None, "b"])):
    rows = store.read(view, {{"a": keys}})
    for field in rows.fields:
        rows.python(field), rows.arrow(field).to_pylist() if field in "nbs" else 0, rows.statuses(field)
    rows.numpy("n"), rows.numpy("t"), rows.event_us
print([name for name in ("pandas", "feast", "duckdb") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout == "[]\n", ran.stdout + ran.stderr


def test_a_field_that_comes_back_has_no_old_values(tmp_path: Path) -> None:
    """Neither pushed nor loaded rows: a definition without the field has let them go."""
    store = Store(tmp_path)
    one, both = (View("v", (Field("k", "INT64"),), tuple(Field(f, "INT64") for f in names)) for names in ("a", "ab"))
    store.define(both)
    with store.load("v") as load:
        load.write(0, 1, {"k": pa.array([1])}, np.array([5]), np.array([5]), [(f, pa.array([7])) for f in "ab"])
        load.commit(5)
    store.push("v", {"k": [2], "t": [5], "a": [8], "b": [8]}, "t")
    store.define(one)
    store.define(both)
    rows = store.read("v", {"k": [1, 2]}, now_us=5)
    assert (rows.python("a"), rows.python("b")) == ([7, 8], [None, None])
