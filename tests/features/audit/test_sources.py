"""Files cut at a moment, against a row-by-row oracle; which rows are looked at; when two values are equal."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.features.audit import sampling, sources
from boxplat.features.audit.comparison import equal
from boxplat.features.audit.mirror import Mirror
from boxplat.features.audit.sources import Source

MINUTE = 60_000_000
TIMES = st.none() | st.integers(-3, 12)


@given(
    rows=st.lists(st.tuples(TIMES, TIMES, st.none() | st.integers()), max_size=20),
    until=st.integers(-2, 10),
    history=st.none() | st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_cut_equals_a_row_by_row_oracle(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], until: int, history: int | None
) -> None:
    """A fact is kept at exactly its moment, a row that was never known goes, a value that never was is null."""
    folder = tmp_path_factory.mktemp("cut")
    big = [None if value is None else value % 2**62 for _, _, value in rows]
    schema = pa.schema([("known", pa.int64()), ("later", pa.int64()), ("value", pa.int64())])
    columns = {"known": [row[0] for row in rows], "later": [row[1] for row in rows], "value": big}
    pq.write_table(pa.table(columns, schema), folder / "a.parquet")
    con = sources.connect(folder)
    times = {("later", "value"): "to_timestamp(60 * later)"}
    source = Source(
        "a", (folder / "a.parquet",), "to_timestamp(60 * known)", times, None if history is None else history * MINUTE
    )
    lost = sources.cut(con, source, until * MINUTE, lambda file: folder / "cut" / file.name)
    expected = [
        {"known": known, "later": later, "value": value}
        if later is not None and later <= until
        else {"known": known, "later": None, "value": None}
        for (known, later, _), value in zip(rows, big, strict=True)
        if known is not None and known <= until and (history is None or known >= until - history)
    ]
    assert pq.read_table(folder / "cut" / "a.parquet").to_pylist() == expected
    stay = [i for i, row in enumerate(rows) if row[0] is not None and row[0] <= until]
    hide = [i for i in stay if rows[i][1] is None or rows[i][1] > until]
    assert lost == sources.Cut(
        len(rows) - len(stay), sum((rows[i][1] is not None) + (big[i] is not None) for i in hide)
    )
    newest = sources.newest(con, [source], lambda file: folder / "cut" / file.name)
    assert newest is None or newest <= until * MINUTE


def test_a_cut_file_has_the_types_of_the_whole(tmp_path: Path) -> None:
    """Code that checks or casts types must not behave differently on cut files."""
    at = datetime(2026, 1, 1)
    table = pa.table(
        {
            "at": pa.array([at, at + timedelta(days=9)], pa.timestamp("ns")),
            "zone": pa.array([at, None], pa.timestamp("ms", "Europe/Berlin")),
            "word": pa.array(["a", "b"]).dictionary_encode(),
            "large": pa.array(["a", None], pa.large_string()),
            "small": pa.array([1, None], pa.int8()),
            "money": pa.array([Decimal("1.10"), None], pa.decimal128(9, 2)),
            "list": pa.array([[1.5, math.inf], None], pa.list_(pa.float32())),
            "raw": pa.array([b"\x00", None]),
        }
    ).replace_schema_metadata({"pandas": "{}"})
    pq.write_table(table, tmp_path / "t.parquet")
    source = Source("t", (tmp_path / "t.parquet",), "at")
    con = sources.connect(tmp_path)
    sources.cut(con, source, int(at.replace(tzinfo=UTC).timestamp() * 1e6), lambda file: tmp_path / "cut.parquet")
    cut = pq.read_table(tmp_path / "cut.parquet")
    assert cut.schema.equals(pq.read_table(tmp_path / "t.parquet").schema, check_metadata=True)
    assert cut.to_pylist() == table.slice(0, 1).to_pylist()


def test_texts_of_a_cut_csv_stay_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at;code;note\n2026-01-01;007;NA\n2026-01-02;1e3;'x'\n2026-01-03;9;late\n")
    source = Source("t", (tmp_path / "t.csv",), "at", {("note",): "'2026-01-02'"})
    sources.cut(sources.connect(tmp_path), source, 1_767_312_000_000_000, lambda file: tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text() == "at;code;note\n2026-01-01;007;NA\n2026-01-02;1e3;'x'\n"


def test_copy_of_a_project_holds_code_and_no_data(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in (
        "flows/make.py",
        "flows/side.csv",
        "lib/tool.py",
        "data/a.parquet",
        "data/b.parquet",
        ".box/data/c.csv",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("")
    (tmp_path / "far.csv").write_text("far")
    (tmp_path / "copy").mkdir()
    declared = [Source("a", (project / "data" / "a.parquet",), "t"), Source("far", (tmp_path / "far.csv",), "t")]
    mirror = Mirror(project, tmp_path / "copy", ("flows",), declared)
    mirror.link(declared)
    seen = {str(path.relative_to(mirror.root)) for path in mirror.root.rglob("*.*")} | {
        str(path.relative_to(mirror.root)) for path in (mirror.root / "lib").glob("*.py")
    }
    far = f"outside/{(tmp_path / 'far.csv').relative_to('/')}"
    assert {name for name in seen if not Path(mirror.root / name).is_dir()} == {
        "flows/make.py", "lib/tool.py", "data/a.parquet", far,
    }  # fmt: skip
    (mirror.root / "data" / "made.parquet").write_text("")
    mirror.clear()
    assert sorted(path.name for path in mirror.root.iterdir()) == ["flows", "lib"]
    assert (project / "data" / "a.parquet").exists() and (tmp_path / "far.csv").exists()


def test_rows_are_spread_over_time_and_repeatable() -> None:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    table = sampling.numbered(
        "(select timestamptz '2026-01-01' + to_minutes((i // 10)::int) as due, "
        "case when i % 2 = 0 then 1 end as y from range(10000) t(i))"
    )
    found = sampling.moments(con, table, "due", "y", 10, 3, seed=1)
    again = sampling.moments(con, table, "due", "y", 10, 3, seed=1)
    assert found == again and found != sampling.moments(con, table, "due", "y", 10, 3, seed=2)
    assert len(found) == 10 and all(len(moment.rows) == 3 for moment in found)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert [int((moment.when - start).total_seconds()) // 6000 for moment in found] == list(range(10))
    assert all(row["y"] == 1 and row["due"] == moment.when for moment in found for row in moment.rows)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (None, None, True),
        (None, 0, False),
        (None, math.nan, False),
        (math.nan, math.nan, True),
        (2**53 + 1, 2**53 + 1, True),
        (2**53 + 1, 2**53, False),
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, False),
        ([1.0, math.nan, None], [1.0, math.nan, None], True),
        ([1.0], [1.0, 2.0], False),
        ({"a": math.nan}, {"a": math.nan}, True),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC), True),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 0, 1), False),
        (Decimal("1.0"), Decimal("1.00"), True),
        ("1", 1, False),
    ],
)
def test_equality(a: Any, b: Any, same: bool) -> None:
    assert equal(a, b) is same


def test_tolerance_is_for_numbers_only() -> None:
    assert equal(1.0, 1.05, 0.1) and not equal(1.0, 1.2, 0.1) and not equal(None, 0.0, 9) and not equal("a", "b", 9)
