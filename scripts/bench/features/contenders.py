"""One contender's point-in-time join in a process of its own: `python contenders.py NAME SET`.

Prints one JSON object: seconds from the request to the whole answer, processor time, peak resident memory, the rows, a
checksum over every value in any order, and whether the rows are in the order of the entity rows. Imports, reading the
entity rows and the whole join of S to warm up come before the clock starts; so does a short-lived process that takes
`WARMED_GIB` (on a virtual machine the first touch of memory that no process has used lately costs a hundred times as
much as any later one, and would be most of what is measured), and the files are read into the system's cache.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from data import Dataset, Source, dataset

# More than any contender takes of each set.
WARMED_GIB = {"S": 1, "M": 2, "narrow": 2, "nyc": 5, "L": 5, "XL": 2}
# What takes less is asked nine times in the same process, and the median counts.
SHORT_S = 1.0
Prepared = Callable[[], Any]
Contender = Callable[[Dataset, Path, int | None], Prepared]
STORES = {"boxplat": "boxplat.features.BoxOfflineStore", "feast-duckdb": "duckdb", "feast-file": "file"}


def feast_store(asked: Dataset, folder: Path, kind: str) -> Any:
    """A repository with the set's views on one of the stores."""
    from feast import FeatureStore, RepoConfig

    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": STORES[kind]},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    views = [feature_view(asked, source) for source in asked.sources]
    keys = {entity.name: entity for _, entities in views for entity in entities}
    store.apply([*keys.values(), *(view for view, _ in views)])
    return store


def feature_view(asked: Dataset, source: Source) -> tuple[Any, list[Any]]:
    """One of the set's views as Feast has it, and its entities."""
    from feast import Entity, FeatureView, Field, FileSource
    from feast.types import Float64, Int64, String
    from pyarrow import parquet, types

    dtype = {
        field.name: Float64 if types.is_floating(field.type) else Int64 if types.is_integer(field.type) else String
        for field in parquet.read_schema(asked.file(source.file))
    }
    entities = [Entity(name=key, join_keys=[key], value_type=dtype[key].to_value_type()) for key in source.keys]
    file = FileSource(
        name=f"{source.name}_source",
        path=str(asked.file(source.file)),
        timestamp_field=source.timestamp,
        created_timestamp_column=source.created,
    )
    view = FeatureView(
        name=source.name,
        entities=entities,
        ttl=timedelta(seconds=source.ttl_s or 0),
        schema=[Field(name=name, dtype=dtype[name]) for name in (*source.keys, *source.features)],
        source=file,
    )
    return view, entities


def references(asked: Dataset) -> list[str]:
    return [f"{source.name}:{feature}" for source in asked.sources for feature in source.features]


def through_feast(kind: str, asked: Dataset, folder: Path, rows: int | None) -> Prepared:
    """`FeatureStore.get_historical_features(…).to_arrow()`, entity rows from pandas."""
    import pandas as pd

    store = feast_store(asked, folder, kind)
    entity = pd.read_parquet(asked.file(asked.entity))[slice(rows)]
    wanted = references(asked)
    return lambda: store.get_historical_features(entity_df=entity, features=wanted).to_arrow()


def from_arrow(asked: Dataset, folder: Path, rows: int | None) -> Prepared:
    """As `through_feast` on boxplat's store, entity rows from Arrow: as near as a library's own frame is to it."""
    import pyarrow.parquet as pq

    store = feast_store(asked, folder, "boxplat")
    entity = pq.read_table(asked.file(asked.entity)).slice(0, rows)
    wanted = references(asked)
    return lambda: store.get_historical_features(entity_df=entity, features=wanted).to_arrow()


def to_parquet(asked: Dataset, folder: Path, rows: int | None) -> Prepared:
    """boxplat from the entity rows' Parquet file straight to one with the answer."""
    store = feast_store(asked, folder, "boxplat")
    if (memory := sys.argv[3:]) and hasattr(store.config.offline_store, "memory_limit"):
        store.config.offline_store.memory_limit = memory[0]
    entity = asked.file(asked.entity)
    if rows is not None:
        import pyarrow.parquet as pq

        pq.write_table(pq.read_table(entity).slice(0, rows), folder / "few.parquet")
        entity = folder / "few.parquet"
    target, wanted = folder / "out.parquet", references(asked)

    def ask() -> Path:
        store.get_historical_features(entity_df=str(entity), features=wanted).to_parquet(target)
        return target

    return ask


def join_alone(asked: Dataset, folder: Path, rows: int | None) -> Prepared:
    """boxplat's join without Feast, as one library beside another, entity rows from Arrow."""
    import pyarrow.parquet as pq

    from boxplat.features.join import History, join

    entity = pq.read_table(asked.file(asked.entity)).slice(0, rows)
    histories = [
        History(
            name=source.name,
            timestamp=source.timestamp,
            features=tuple((name, name) for name in source.features),
            keys=tuple((key, key) for key in source.keys),
            files=(str(asked.file(source.file)),),
            created=source.created,
            ttl_us=source.ttl_s and source.ttl_s * 1_000_000,
        )
        for source in asked.sources
    ]
    return lambda: join(entity, asked.timestamp, histories)


def with_polars(asked: Dataset, folder: Path, rows: int | None) -> Prepared:
    """`join_asof` per view: the last of equal times wins, so the histories are sorted by time and `created`."""
    import polars as pl

    entity = pl.read_parquet(asked.file(asked.entity))[slice(rows)]

    def ask() -> Any:
        found = entity.lazy().sort(asked.timestamp)
        for source in asked.sources:
            history = (
                pl.scan_parquet(asked.file(source.file))
                .select(*source.keys, source.timestamp, source.created, *source.features)
                .sort(source.timestamp, source.created)
                .drop(source.created)
            )
            found = found.join_asof(
                history,
                left_on=asked.timestamp,
                right_on=source.timestamp,
                by=list(source.keys),
                strategy="backward",
                tolerance=timedelta(seconds=source.ttl_s) if source.ttl_s else None,
                check_sortedness=False,
            )
        return found.collect().to_arrow()

    return ask


def with_pandas(asked: Dataset, folder: Path, rows: int | None) -> Prepared:
    """`merge_asof` per view, likewise."""
    import pandas as pd

    entity = pd.read_parquet(asked.file(asked.entity))[slice(rows)]

    def ask() -> Any:
        found = entity.sort_values(asked.timestamp)
        for source in asked.sources:
            wanted = [*source.keys, source.timestamp, source.created, *source.features]
            history = pd.read_parquet(asked.file(source.file), columns=wanted)
            found = pd.merge_asof(
                found,
                history.sort_values([source.timestamp, source.created]).drop(columns=source.created),
                left_on=asked.timestamp,
                right_on=source.timestamp,
                by=list(source.keys),
                tolerance=pd.Timedelta(seconds=source.ttl_s) if source.ttl_s else None,
            )
        return found

    return ask


CONTENDERS: dict[str, Contender] = {
    "boxplat": partial(through_feast, "boxplat"),
    "boxplat-arrow": from_arrow,
    "boxplat-join": join_alone,
    "boxplat-parquet": to_parquet,
    "feast-duckdb": partial(through_feast, "feast-duckdb"),
    "feast-file": partial(through_feast, "feast-file"),
    "polars": with_polars,
    "pandas": with_pandas,
}


def summary(asked: Dataset, answer: Any) -> dict[str, object]:
    """Rows, order and an order-independent checksum: the sum of a hash of each row's values in their sources' types."""
    import duckdb

    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    relation = f"read_parquet('{answer}')" if isinstance(answer, Path) else "answer"
    columns = [f"row::bigint, epoch_us({asked.timestamp}::timestamptz::timestamp), label::bigint"]
    for source in asked.sources:
        described = con.execute(f"describe select * from read_parquet('{asked.file(source.file)}')").fetchall()
        types = {name: type_ for name, type_, *_ in described}
        columns += [f'"{name}"::{types[name]}' for name in source.features]
    total = con.execute(f"select count(*), sum(hash({', '.join(columns)})::hugeint) from {relation}").fetchall()[0]
    if isinstance(answer, Path):
        ordered = con.execute(
            f"select bool_and(row = file_row_number) from read_parquet('{answer}', file_row_number=true)"
        )
        in_order = ordered.fetchall()[0][0]
    else:
        rows = list(answer["row"].to_numpy())
        in_order = rows == list(range(len(rows)))
    return {"rows": total[0], "checksum": f"{int(total[1]) % 2**64:016x}", "in_order": bool(in_order)}


def peak_mb() -> float:
    """Of this program alone: `ru_maxrss` would count the process that started it too."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def warmed(asked: Dataset) -> None:
    """Have another process touch memory, and read the set's files so that the system holds them."""
    files = [str(asked.file(source.file)) for source in asked.sources]
    text = f"""
import sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        while file.read(2**24):
            pass
b"x" * {WARMED_GIB[asked.folder.name] << 30}
"""
    subprocess.run([sys.executable, "-S", "-c", text, *files], check=True)


def timed(ask: Prepared) -> tuple[Any, float, float]:
    """The answer, seconds, and seconds of processor time."""
    since, worked = time.perf_counter(), time.process_time()
    answer = ask()
    return answer, time.perf_counter() - since, time.process_time() - worked


def main() -> None:
    warnings.simplefilter("ignore")
    name, folder = sys.argv[1], Path(sys.argv[2])
    asked = dataset(folder)
    with tempfile.TemporaryDirectory() as scratch:
        warm, work = Path(scratch) / "warm", Path(scratch) / "work"
        warm.mkdir()
        work.mkdir()
        small = dataset(folder.parent / "S")
        CONTENDERS[name](small, warm, None)()
        ask = CONTENDERS[name](asked, work, None)
        warmed(asked)
        answer, seconds, cpu = timed(ask)
        if seconds < SHORT_S:
            seconds = statistics.median([seconds, *(timed(ask)[1] for _ in range(8))])
        print(json.dumps({"seconds": seconds, "cpu_s": cpu, "peak_mb": peak_mb(), **summary(asked, answer)}))


if __name__ == "__main__":
    main()
