"""Online reads in process: Feast's own call over its sqlite store and over boxplat's; the columnar call beside bare
Redis and bare SQLite; three views beside one. 100,000 entities of 10 features; answers are compared first.
"""

from __future__ import annotations

import random
import shutil
import socket
import sqlite3
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from table import Row

ENTITIES = 100_000
SIZES = (1, 100, 1000)
CALLS = {1: 400, 100: 100, 1000: 30}
FEATURES = (*(f"d{n}" for n in range(6)), *(f"i{n}" for n in range(3)), "s0")
VIEWS = ("one", "two", "three")
SETTINGS = """
project: bench
provider: local
registry: data/registry.db
offline_store: {{type: duckdb}}
online_store: {{type: {type}, path: data/online}}
entity_key_serialization_version: 3
"""
Call = Callable[[int], Any]


def run(data: Path, pairs: int) -> list[Row]:
    """Rows of the table: medians in microseconds, one for each pair."""
    source = data / "rows" / "clean_100k.parquet"
    home = Path(tempfile.mkdtemp(prefix="online-"))
    try:
        stock, ours = repository(home / "stock", "sqlite", source), repository(home / "box", BOX, source)
        fill(stock, source)
        load(ours, source)
        with bare_redis(home, source) as redis, closing(bare_sqlite(home, source)) as sqlite:
            return [
                *through_feast(ours, stock, pairs),
                *columnar(home / "box", redis, sqlite, pairs),
                *views(ours, pairs),
            ]
    finally:
        shutil.rmtree(home)


BOX = "boxplat.features.BoxOnlineStore"


def repository(folder: Path, kind: str, source: Path) -> Any:
    """A Feast repository of three equal views, and services of one and of all three."""
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, Int64, String

    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(SETTINGS.format(type=kind))
    entity = Entity(name="key", value_type=ValueType.INT64)
    rows = FileSource(
        name="rows", path=str(source), timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    types = {"d": Float64, "i": Int64, "s": String}
    schema = [Field(name="key", dtype=Int64), *(Field(name=name, dtype=types[name[0]]) for name in FEATURES)]
    found = [FeatureView(name=name, entities=[entity], schema=schema, source=rows) for name in VIEWS]
    store = FeatureStore(repo_path=str(folder))
    services = [FeatureService(name="whole", features=found[:1]), FeatureService(name="all", features=found)]
    store.apply([entity, *found, *services])
    return store


def fill(store: Any, source: Path) -> None:
    """Feast's own way into a store."""
    frame = pq.read_table(source).to_pandas()
    for start in range(0, len(frame), 20_000):
        store.write_to_online_store("one", frame.iloc[start : start + 20_000])


def load(store: Any, source: Path) -> None:
    """Into boxplat's rows, as a materialization leaves them."""
    from boxplat.features.online.plugin import rows_store

    table = pq.read_table(source)
    for name in VIEWS:
        with rows_store(store.config).load(name) as loading:
            columns = ((feature, table[feature]) for feature in FEATURES)
            loading.write(0, 1, {"key": table["key"]}, table["event_timestamp"], table["created"], columns)
            loading.commit(1_800_000_000_000_000)


def keys(count: int, seed: int) -> list[int]:
    """Keys of one request; one in a hundred is not there."""
    choose = random.Random(seed)
    return [choose.randrange(ENTITIES + ENTITIES // 100) for _ in range(count)]


def through_feast(ours: Any, stock: Any, pairs: int) -> Iterator[Row]:
    """`FeatureStore.get_online_features(…).to_dict()`."""
    service = {id(store): store.get_feature_service("whole") for store in (ours, stock)}

    def call(store: Any, count: int) -> Call:
        wanted = service[id(store)]
        return lambda seed: store.get_online_features(wanted, [{"key": key} for key in keys(count, seed)]).to_dict()

    for count in SIZES:
        same = [call(store, count)(7) for store in (ours, stock)]
        assert same[0] == same[1], f"the stores answer differently for {count} entities"
        yield from compared(
            f"get_online_features, {count} entities",
            {"boxplat": call(ours, count), "Feast `sqlite`": call(stock, count)},
            CALLS[count],
            pairs,
        )


def columnar(repo: Path, redis: Any, sqlite: sqlite3.Connection, pairs: int) -> Iterator[Row]:
    """Ten features without Feast, as columns and as Python values, beside stores that return undecoded bytes."""
    from boxplat.features import reader

    ours = reader.open(repo)

    def box(count: int) -> Call:
        def call(seed: int) -> Any:
            answer = ours.read("whole", {"key": keys(count, seed)})
            return [answer.numpy(name) for name in FEATURES[:-1]] + [answer.arrow("s0")]

        return call

    def values(count: int) -> Call:
        return lambda seed: ours.read("whole", {"key": keys(count, seed)}).to_dict()

    def mget(count: int) -> Call:
        return lambda seed: redis.mget([struct.pack("<q", key) for key in keys(count, seed)])

    def select(count: int) -> Call:
        text = f"SELECT k, v FROM t WHERE k IN ({','.join('?' * count)})"
        return lambda seed: sqlite.execute(text, keys(count, seed)).fetchall()

    for count in SIZES:
        found = sum(value is not None for value in mget(count)(7))
        assert found == int((ours.read("whole", {"key": keys(count, 7)}).statuses("d0") == 1).sum())
        bare = {"bare Redis MGET": mget(count), "bare SQLite, packed": select(count)}
        yield from compared(f"columns, {count} entities", {"boxplat": box(count), **bare}, CALLS[count], pairs)
        yield from compared(f"Python values, {count} entities", {"boxplat": values(count), **bare}, CALLS[count], pairs)


def views(store: Any, pairs: int) -> Iterator[Row]:
    """As many features from three views as from one."""
    single = [f"one:{name}" for name in FEATURES[:9]]
    triple = [f"{view}:{name}" for at, view in enumerate(VIEWS) for name in FEATURES[at * 3 : at * 3 + 3]]

    def call(wanted: list[str], count: int) -> Call:
        return lambda seed: store.get_online_features(wanted, {"key": keys(count, seed)}).to_dict()

    for count in SIZES:
        assert call(single, count)(7) == call(triple, count)(7)
        calls = {"one view": call(single, count), "three views": call(triple, count)}
        yield from compared(f"9 features, {count} entities", calls, CALLS[count], pairs)


def compared(case: str, calls: Mapping[str, Call], repeats: int, pairs: int) -> Iterator[Row]:
    """All contenders in turns, the first as the measure of the others."""
    medians: dict[str, list[float]] = {name: [] for name in calls}
    tails: dict[str, list[float]] = {name: [] for name in calls}
    for pair in range(pairs):
        for name, call in calls.items():
            call(0)
            times = sorted(timed(call, pair * repeats + number) for number in range(repeats))
            medians[name].append(statistics.median(times))
            tails[name].append(times[int(len(times) * 0.99)])
    first = next(iter(calls))
    for name in calls:
        ratios = tuple(other / own for other, own in zip(medians[name], medians[first], strict=True))
        note = f"p99 {statistics.median(tails[name]):.0f} us"
        yield Row(
            "Online reads in process",
            case,
            name,
            tuple(medians[name]),
            "us",
            () if name == first else ratios,
            note=note,
        )


def timed(call: Call, seed: int) -> float:
    """Microseconds of one call."""
    began = time.perf_counter()
    call(seed)
    return (time.perf_counter() - began) * 1e6


def packed(source: Path) -> Iterator[tuple[int, bytes]]:
    """Every key with its features in one run of 79 bytes or so."""
    rows = pq.read_table(source, columns=["key", *FEATURES]).to_pydict()
    for key, *values in zip(*(rows[name] for name in ("key", *FEATURES)), strict=True):
        yield key, struct.pack("<6d3q", *values[:9]) + str(values[9]).encode()


@contextmanager
def bare_redis(home: Path, source: Path) -> Iterator[Any]:
    """A Redis of this run's own, on loopback, without persistence."""
    import redis

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.1), 50))
        client.ping()
        items = list(packed(source))
        for start in range(0, len(items), 10_000):
            some: Sequence[tuple[int, bytes]] = items[start : start + 10_000]
            client.mset({struct.pack("<q", key): value for key, value in some})
        yield client
    finally:
        server.terminate()
        server.wait()


def bare_sqlite(home: Path, source: Path) -> sqlite3.Connection:
    """One packed row per entity."""
    base = sqlite3.connect(home / "packed.db")
    base.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)")
    base.executemany("INSERT INTO t VALUES (?, ?)", packed(source))
    base.commit()
    return base
