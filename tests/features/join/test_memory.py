"""Results too large for the memory limit come in pieces that are together the whole."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.features.join import EntityQuery, History, Options, join, session, stream, write
from tests.features.join.small import US, at

ROWS = 30_000


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Out of order, with duplicates, nulls and strings."""
    rng = random.Random(5)
    path = tmp_path_factory.mktemp("history") / "view.parquet"
    columns = {
        "k": [rng.choice([None, *range(200)]) for _ in range(ROWS)],
        "t": pa.array([at(rng.randrange(9000)) for _ in range(ROWS)], US),
        "c": pa.array([rng.choice([None, at(rng.randrange(99))]) for _ in range(ROWS)], US),
        "v": [rng.choice([None, rng.random()]) for _ in range(ROWS)],
        "w": [str(rng.randrange(ROWS)) for _ in range(ROWS)],
        "x": [[rng.randrange(9)] * rng.randrange(3) for _ in range(ROWS)],
    }
    pq.write_table(pa.table(columns), path, row_group_size=1000)
    features = (("v", "v"), ("w", "w"), ("x", "x"))
    return History("view", "t", features, (("k", "k"),), (str(path),), created="c", ttl_us=2 * 10**9)


@pytest.fixture(scope="module")
def entity() -> pa.Table:
    rng = random.Random(6)
    times = pa.array([rng.choice([None, at(rng.randrange(9000))]) for _ in range(ROWS)], US)
    return pa.table({"k": [rng.choice([None, *range(210)]) for _ in range(ROWS)], "when": times, "row": range(ROWS)})


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Options:
    """Slices of one row group, chunks of some thousand entity rows."""
    monkeypatch.setattr(session, "LEAST_ROWS", 1)
    monkeypatch.setattr("boxplat.features.join.plan.LEAST_CHUNK", 1)
    return Options(memory_limit="1MB")


def test_pieces_are_together_the_whole(history: History, entity: pa.Table, tiny: Options, tmp_path: Path) -> None:
    whole = join(entity, "when", [history], Options(memory_limit="4GB"))
    in_sql = join(entity, "when", [history], Options(memory_limit="4GB", plan="sql"))
    assert whole.equals(in_sql)
    assert join(entity, "when", [history], tiny).equals(whole)
    reader = stream(entity, "when", [history], tiny)
    assert reader.schema.equals(whole.schema)
    batches = list(reader)
    assert len(batches) > 3
    assert pa.Table.from_batches(batches).equals(whole)
    target = tmp_path / "result.parquet"
    assert write(entity, "when", [history], tiny, path=target) == ROWS
    assert pq.read_table(target).equals(whole)
    assert pq.read_metadata(target).num_row_groups > 3


def test_entity_rows_on_disk_are_never_whole_in_memory(
    history: History, entity: pa.Table, tiny: Options, tmp_path: Path
) -> None:
    path = tmp_path / "entity.parquet"
    pq.write_table(entity, path, row_group_size=5000)
    whole = join(entity, "when", [history])
    given: list[Path | EntityQuery] = [path, EntityQuery(f"FROM read_parquet('{path}')")]
    for rows in given:
        batches = list(stream(rows, "when", [history], tiny))
        assert max(map(len, batches)) < ROWS / 3
        assert pa.Table.from_batches(batches).equals(whole)


def test_a_stream_of_no_rows_has_its_columns(history: History, entity: pa.Table) -> None:
    assert stream(entity.slice(0, 0), "when", [history]).read_all().column_names == ["k", "when", "row", "v", "w", "x"]
