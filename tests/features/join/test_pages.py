"""Plain pages read by ourselves against Arrow's own reader, over what writers can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.features.join.pages import leaf
from boxplat.features.join.pages import plain as read

KINDS = [
    pa.int64(),
    pa.int32(),
    pa.int16(),
    pa.uint32(),
    pa.float64(),
    pa.float32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns", "Europe/Prague"),
    pa.timestamp("ms"),
    pa.timestamp("s"),
    pa.date32(),
    pa.time64("us"),
    pa.duration("us"),
    pa.string(),
]
OPTIONS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["snappy", "none", "zstd"]),
        "use_dictionary": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "data_page_size": st.sampled_from([64, 1_000, 2**20]),
        "row_group_size": st.sampled_from([7, 100, 10_000]),
        "version": st.sampled_from(["1.0", "2.6"]),
        "write_statistics": st.booleans(),
        "use_byte_stream_split": st.just(False),
        "write_page_checksum": st.booleans(),
    }
)
ACROSS = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plain(path: str, metadata: pq.FileMetaData, groups: list[int], at: int, kind: pa.DataType) -> pa.Array | None:
    found = leaf(metadata, at, kind)
    return None if found is None else read(path, found, groups, kind)


def column(kind: pa.DataType, rows: int, nulls: bool, seed: int) -> pa.Array:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 30_000, rows) * 1_000_000
    mask = rng.random(rows) < 0.1 if nulls else None
    made = pa.array(values, mask=mask)
    return (pa.array(values // 1_000_000, pa.int32(), mask=mask) if pa.types.is_date32(kind) else made).cast(
        kind, safe=False
    )


def check(path: Path, kind: pa.DataType | None = None) -> list[bool]:
    """Compares every column, whole and by row group; which ones could be read."""
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    every = list(range(metadata.num_row_groups))
    read = []
    for at, name in enumerate(schema.names):
        for groups in (every, every[:1], every[1::2]):
            if not groups:
                continue
            found = plain(str(path), metadata, groups, at, schema.field(name).type)
            if found is not None:
                with pq.ParquetFile(path) as file:
                    expected = file.read_row_groups(groups, columns=[name]).column(0).combine_chunks()
                assert found.equals(expected if isinstance(expected, pa.Array) else expected.chunk(0))
        read.append(found is not None)
    return read


@ACROSS
@given(OPTIONS, st.sampled_from(KINDS), st.booleans(), st.booleans(), st.sampled_from([1, 8, 1_000]), st.integers(0, 9))
def test_what_arrow_writes(
    tmp_path: Path, options: dict[str, Any], kind: pa.DataType, nulls: bool, required: bool, rows: int, seed: int
) -> None:
    values = column(kind, rows, nulls and not required, seed)
    path = tmp_path / "a.parquet"
    schema = pa.schema([pa.field("x", kind, nullable=not required)])
    pq.write_table(pa.Table.from_arrays([values], schema=schema), path, **options)
    check(path)


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.int32(), pa.float64(), pa.float32(), pa.timestamp("us", "UTC")], ids=str
)
@pytest.mark.parametrize("compression", ["snappy", "none"])
def test_plain_pages_are_read(tmp_path: Path, kind: pa.DataType, compression: str) -> None:
    table = pa.table({"x": column(kind, 5_000, False, 1)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, use_dictionary=False, compression=compression, data_page_size=999, row_group_size=900)
    assert check(path) == [True]


@pytest.mark.parametrize("columns", [["a"], ["a", "b", "c", "d"]])
def test_what_duckdb_writes(tmp_path: Path, columns: list[str]) -> None:
    path = tmp_path / "a.parquet"
    made = {
        "a": "range::BIGINT * 7919 % 1000003",
        "b": "random()",
        "c": "TIMESTAMPTZ '2026-01-01' + INTERVAL (range * 37) SECOND",
        "d": "CASE WHEN range % 5000 = 4999 THEN NULL ELSE range END",
    }
    select = ", ".join(f"{made[name]} AS {name}" for name in columns)
    duckdb.sql(f"COPY (SELECT {select} FROM range(300000)) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 100000)")
    assert check(path) == [name != "d" for name in columns]


def test_nested_and_extreme_values(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "list": pa.array([[1, 2], [], [3]]),
            "struct": pa.array([{"x": 1}, {"x": 2}, {"x": 3}]),
            "least": pa.array([-(2**63), 2**63 - 1, 2**53 + 1]),
            "float": pa.array([float("-inf"), -0.0, 5e-324]),
        }
    )
    pq.write_table(table, path, use_dictionary=False)
    metadata = pq.read_metadata(path)
    found = [plain(str(path), metadata, [0], at, kind) for at, kind in enumerate([pa.int64()] * 3 + [pa.float64()])]
    assert found[:2] == [None, None]
    assert found[2].equals(table["least"].chunk(0))
    assert found[3].to_numpy().tobytes() == table["float"].chunk(0).to_numpy().tobytes()


@ACROSS
@given(st.data())
def test_a_damaged_page_is_never_read_past_its_end(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": column(pa.int64(), 500, False, 3)}), path, use_dictionary=False, data_page_size=800)
    metadata = pq.read_metadata(path)
    chunk = metadata.row_group(0).column(0)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        found = plain(str(path), metadata, [0], 0, pa.int64())
    except OSError:
        return
    assert found is None or len(found) == 500


def test_a_file_cut_short_is_left_to_arrow_and_its_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": column(pa.int64(), 5_000, False, 3)}), path, use_dictionary=False)
    metadata = pq.read_metadata(path)
    path.write_bytes(path.read_bytes()[:3_000])
    assert plain(str(path), metadata, [0], 0, pa.int64()) is None
