"""Files to the online store: boxplat's engine and embedded store against Feast's local engine and SQLite.

usage: python scripts/bench/features/materialize.py CONTENDER FILE

Run like this it is one contender in a process of its own and prints one JSON object: seconds of the one call of
`FeatureStore.materialize` (after one of ten rows to warm up), resident memory before it and at its peak, and how many
rows are online. What is online is then read back: by boxplat whole, by checksum against DuckDB's own newest rows; by
Feast, whose store keeps a row for each value, 500 keys.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from contenders import peak_mb
from data import ROW_FEATURES
from table import Row

BOX = "boxplat.features"
STORES: Mapping[str, Mapping[str, Any]] = {
    "boxplat": {
        "offline_store": {"type": f"{BOX}.BoxOfflineStore"},
        "online_store": {"type": f"{BOX}.BoxOnlineStore", "path": "online"},
        "batch_engine": {"type": f"{BOX}.BoxComputeEngine"},
    },
    "feast": {"offline_store": {"type": "duckdb"}, "online_store": {"type": "sqlite", "path": "online.db"}},
}
TOLD = {"boxplat": "boxplat", "feast": "Feast, local engine to `sqlite`"}
CASES = (("boxplat", "clean_100k"), ("boxplat", "clean_1m"), ("boxplat", "dirty_1m"))
BASELINE = ("feast", "clean_100k")
SAMPLE = 500
NEWEST = """
    SELECT key, epoch_us(event_timestamp) AS event_us, {features} FROM read_parquet('{file}', file_row_number=true)
    QUALIFY row_number() OVER (
        PARTITION BY key ORDER BY event_timestamp DESC, created DESC NULLS LAST, file_row_number DESC
    ) = 1
"""


def opened(contender: str, folder: Path, files: Mapping[str, Path]) -> Any:
    """A repository with one view for each file."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64, String

    kinds = {"d": Float64, "i": Int64, "s": String}
    settings = {"project": "bench", "provider": "local", "registry": str(folder / "registry.db")}
    config = RepoConfig(**settings, **STORES[contender], entity_key_serialization_version=3, repo_path=folder)
    store = FeatureStore(config=config)
    entity = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
    features = [Field(name=name, dtype=kinds[name[0]]) for name in ROW_FEATURES]
    views = [
        FeatureView(
            name=name,
            entities=[entity],
            ttl=timedelta(0),
            schema=[Field(name="key", dtype=Int64), *features],
            source=FileSource(
                name=f"{name}_rows",
                path=str(file),
                timestamp_field="event_timestamp",
                created_timestamp_column="created",
            ),
        )
        for name, file in files.items()
    ]
    store.apply([entity, *views])
    return store


def checksum(relation: str, **tables: Any) -> str:
    """Over all rows and values, in any order."""
    import duckdb

    columns = ", ".join(["key", "event_us", *ROW_FEATURES])
    with duckdb.connect() as db:
        for name, table in tables.items():
            db.register(name, table)
        query = f"SELECT count(*), bit_xor(hash({columns})), sum(hash({columns})::HUGEINT) FROM ({relation})"
        return str(db.execute(query).fetchall())


def newest(file: Path) -> str:
    return NEWEST.format(file=file, features=", ".join(ROW_FEATURES))


def check(contender: str, store: Any, folder: Path, file: Path) -> int:
    """How many rows are online. Raises AssertionError unless they are the newest ones of the file."""
    import duckdb

    with duckdb.connect() as db:
        expected = db.sql(newest(file)).to_arrow_table()
    if contender == "boxplat":
        return check_whole(folder, expected)
    some = expected.slice(0, SAMPLE)
    keys = [{"key": key} for key in some.column("key").to_pylist()]
    answer = store.get_online_features([f"rows:{name}" for name in ROW_FEATURES], keys).to_dict()
    for name in ROW_FEATURES:
        assert answer[name] == some.column(name).to_pylist(), f"{contender}: {name} differs"
    return expected.num_rows


def check_whole(folder: Path, expected: Any) -> int:
    import pyarrow as pa

    from boxplat.features.rows import Store

    found = Store(folder / "online" / "bench").read("rows", {"key": expected.column("key")})
    columns = {"key": expected.column("key"), "event_us": found.event_us}
    online = pa.table({**columns, **{name: found.arrow(name) for name in ROW_FEATURES}})
    assert checksum("online", online=online) == checksum("expected", expected=expected), "boxplat: rows differ"
    return int((found.status == 1).sum())


def measure(contender: str, file: Path) -> dict[str, Any]:
    """One contender in this process."""
    import duckdb

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tiny = folder / "tiny.parquet"
        with duckdb.connect(config={"threads": 1}) as db:
            db.execute(f"COPY (FROM '{file}' LIMIT 10) TO '{tiny}'")
        store = opened(contender, folder, {"tiny": tiny, "rows": file})
        end = datetime(2100, 1, 1, tzinfo=UTC)
        store.materialize(datetime(2000, 1, 1, tzinfo=UTC), end, ["tiny"])
        base, since = peak_mb(), perf_counter()
        store.materialize(datetime(2000, 1, 1, tzinfo=UTC), end, ["rows"])
        seconds, peak = perf_counter() - since, peak_mb()
        return {"seconds": seconds, "base_mb": base, "peak_mb": peak, "rows": check(contender, store, folder, file)}


def child(contender: str, file: Path) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, contender, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} on {file}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(data: Path, pairs: int) -> list[Row]:
    """Each pair is one run of Feast and one of boxplat on every set, one after the other."""
    measured: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(pairs):
        for contender, name in (BASELINE, *CASES):
            found = child(contender, data / "rows" / f"{name}.parquet")
            measured.setdefault((contender, name), []).append(found)
    feast = rates(measured[BASELINE])
    fastest = [ours / theirs for ours, theirs in zip(rates(measured[CASES[1]]), feast, strict=True)]
    rows = []
    for (contender, name), runs in measured.items():
        ratios = tuple(fastest) if contender == "feast" else ()
        base = max(one["base_mb"] for one in runs)
        note = f"{base:,.0f} MB before" + (", against boxplat on clean_1m" if ratios else "")
        peak = max(one["peak_mb"] for one in runs)
        rows.append(
            Row(
                "Materialization to the online store",
                name,
                TOLD[contender],
                tuple(rates(runs)),
                "rows/s",
                ratios,
                peak,
                note,
            )
        )
    return rows


def rates(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    return [one["rows"] / one["seconds"] for one in runs]


def main() -> None:
    # As in every `box` verb: Feast imports torch, for images only, when it finds it.
    sys.modules["torch"] = None  # type: ignore[assignment]
    contender, file = sys.argv[1:]
    print(json.dumps(measure(contender, Path(file).resolve())))


if __name__ == "__main__":
    main()
