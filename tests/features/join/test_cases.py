"""The cases in which joins go wrong, each by name and in every plan."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.features.join import EntityQuery, History, join
from tests.features.join.small import NOON, PLANS, US, answers, asked, at, by_plan, wrote


def simple(keys: list[Any], times: list[Any], values: list[Any], **further: Any) -> pa.Table:
    return pa.table({"k": keys, "t": pa.array(times, US), "v": values, **further})


def test_equal_time_counts_and_the_future_does_not(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1, 1], [at(0), at(1)], [10, 11]))
    assert answers(asked([1, 1, 1], [at(-1e-6), at(0), at(1)]), history) == [None, 10, 11]


def test_time_to_live_is_inclusive_to_the_microsecond(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1], [NOON], [10]), ttl_us=5_000_000)
    assert answers(asked([1, 1], [at(5), at(5.000001)]), history) == [10, None]


def test_newest_null_stays_null(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1, 1], [at(0), at(1)], [10, None]))
    assert answers(asked([1], [at(2)]), history) == [None]


@pytest.mark.parametrize("many", [3, 100])
def test_equal_times_go_by_creation_and_then_by_file_order(tmp_path: Path, many: int) -> None:
    """`many` above the walk's limit takes the ranking instead."""
    times = [NOON] * many
    created = pa.array([at(n % 7) for n in range(many)], US)
    newest = max(range(many), key=lambda n: (n % 7, n))
    history = wrote(tmp_path, simple([1] * many, times, list(range(many)), c=created))
    assert answers(asked([1, 2], [at(9), at(9)]), history) == [newest, None]
    assert answers(asked([1, 2], [at(9), at(9)]), replace(history, created=None)) == [many - 1, None]


def test_a_row_without_a_creation_time_loses(tmp_path: Path) -> None:
    created = pa.array([at(0), None], US)
    history = wrote(tmp_path, simple([1, 1], [NOON, NOON], [10, 11], c=created))
    assert answers(asked([1], [at(1)]), history) == [10]


def test_columns_of_nothing_but_nulls(tmp_path: Path) -> None:
    """As pandas writes a column of None: without a type."""
    history = wrote(tmp_path, simple([1, 1], [NOON, NOON], pa.nulls(2), c=pa.nulls(2)))
    assert answers(asked([1], [at(1)]), history) == [None]
    assert answers(asked([1], [at(1)]), history, created_cutoff=True) == [None]
    assert answers(asked([1], pa.nulls(1), None), history) == [None]
    assert answers(asked([1], [at(1)]), replace(history, timestamp="v")) == [None]


def test_the_cutoff_comes_before_the_choice(tmp_path: Path) -> None:
    """The newest row was created too late: the older one, known in time, is the answer, not null."""
    created = pa.array([at(1), at(60), None], US)
    history = wrote(tmp_path, simple([1, 1, 1], [at(0), at(10), at(11)], [10, 11, 12], c=created))
    assert answers(asked([1, 1, 1], [at(0), at(20), at(60)]), history, created_cutoff=True) == [None, 10, 11]


def test_null_keys_match_nothing_on_either_side(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([None, 1], [at(0), at(0)], [9, 10]))
    assert answers(asked([None, 1, 5], [at(1)] * 3), history) == [None, 10, None]
    assert answers(asked(pa.nulls(1), [at(1)]), history) == [None]


def test_pairs_of_keys_are_not_run_together(tmp_path: Path) -> None:
    table = pa.table({"a": ["1", "11", None], "b": ["11", "1", "1"], "t": pa.array([NOON] * 3, US), "v": [1, 2, 3]})
    history = wrote(tmp_path, table, keys=(("a", "x"), ("b", "y")))
    entity = pa.table({"x": ["11", "1", "1", None], "y": ["1", "11", "1", "1"], "when": pa.array([at(1)] * 4, US)})
    assert answers(entity, history) == [2, 1, None, None]


def test_wide_pairs_of_keys_keep_their_identity(tmp_path: Path) -> None:
    """Codes of pairs beyond 31 bits are made dense: no two pairs may fall together."""
    numbers = [n * 2**40 for n in range(300)] * 300
    texts = [f"{n // 300}" for n in range(90_000)]
    table = pa.table({"a": numbers, "b": texts, "t": pa.array([NOON] * 90_000, US), "v": range(90_000)})
    history = wrote(tmp_path, pa.table({"k": [0], "t": pa.array([NOON], US), "v": [0]}))
    pq.write_table(table, tmp_path / "wide.parquet")
    history = replace(history, files=(str(tmp_path / "wide.parquet"),), keys=(("a", "a"), ("b", "b")))
    entity = table.select(["a", "b"]).append_column("when", pa.array([at(1)] * 90_000, US))
    for plan in PLANS:
        assert by_plan(entity, [history], plan).column("v").to_pylist() == list(range(90_000))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pa.array([1, 2], pa.int32()), pa.array([2, 1, 7], pa.int64())),
        (pa.array([1, 2], pa.uint64()), pa.array([2, 1, -1], pa.int64())),
        (pa.array([2**64 - 1, 2], pa.uint64()), pa.array([2, 2**64 - 1, 1], pa.uint64())),
        (pa.array([1, 2], pa.int64()), pa.array([2.0, 1.0, math.nan], pa.float64())),
        (pa.array([Decimal("1.0"), Decimal("2.0")]), pa.array([2, 1, 7], pa.int64())),
        (pa.array([Decimal("1.50"), Decimal("2.5")]), pa.array([Decimal("2.5"), Decimal("1.5"), Decimal("1")])),
        (pa.array([0.5, math.nan]), pa.array([math.nan, 0.5, None], pa.float64())),
        (pa.array(["a", "b"]), pa.array(["b", "a", None], pa.large_string())),
        (pa.array(["a", "b"]), pa.array(["b", "a", "c"]).dictionary_encode()),
        (pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "a", "c"], pa.string_view())),
        (pa.array([b"a", b"\0"]), pa.array([b"\0", b"a", b""], pa.large_binary())),
        (pa.array([date(2024, 1, 1), date(2024, 1, 2)]), pa.array([date(2024, 1, 2), date(2024, 1, 1), None])),
        (pa.array([at(0), at(1)], US), pa.array([at(1), at(0), None], pa.timestamp("ms", "Asia/Tokyo"))),
    ],
    ids=lambda column: str(column.type),
)
def test_keys_of_different_width_and_layout_are_equal_by_value(
    tmp_path: Path, ours: pa.Array, theirs: pa.Array
) -> None:
    history = wrote(tmp_path, pa.table({"k": ours, "t": pa.array([NOON] * 2, US), "v": [1, 2]}))
    wanted = [None, 1, None] if ours.type == pa.float64() else [2, 1, None]
    assert answers(asked(theirs, [at(1)] * 3), history) == wanted


EAST = timezone(timedelta(hours=2))
MOMENTS: list[tuple[pa.DataType, Any]] = [
    (pa.timestamp("us"), datetime(2024, 3, 10, 12)),
    (pa.timestamp("ns", "UTC"), NOON),
    (pa.timestamp("s", "America/New_York"), NOON),
    (pa.timestamp("ms", "+02:00"), datetime(2024, 3, 10, 14, tzinfo=EAST)),
    (pa.string(), "2024-03-10T12:00:00Z"),
    (pa.string(), "2024-03-10 14:00:00.000000+02:00"),
    (pa.large_string(), "2024-03-10 12:00:00"),
]


@pytest.mark.parametrize(("kind", "moment"), MOMENTS, ids=lambda value: str(value))
def test_times_of_every_type_mean_the_same_moment(tmp_path: Path, kind: pa.DataType, moment: Any) -> None:
    entity = asked([1, 1], [moment, None], kind)
    early = wrote(tmp_path, simple([1, 1], [NOON, at(1)], [10, 11]))
    assert answers(entity, early) == [10, None]
    late = wrote(tmp_path, pa.table({"k": [1, 1], "t": pa.array([moment, None], kind), "v": [10, 11]}))
    assert answers(asked([1, 1], [NOON, at(-1)]), late) == [10, None]


def test_days_begin_at_midnight_utc(tmp_path: Path) -> None:
    table = pa.table({"k": [1, 1], "t": pa.array([date(2024, 3, 10), date(1969, 12, 31)]), "v": [10, 9]})
    history = wrote(tmp_path, table)
    assert answers(asked([1, 1], [date(2024, 3, 10), date(2024, 3, 9)], pa.date32()), history) == [10, 9]
    assert answers(asked([1], [datetime(2024, 3, 9, 23, 59, 59, 999999, tzinfo=UTC)]), history) == [9]


def test_nanoseconds_before_the_epoch_round_down(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1], [datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)], [10]))
    entity = asked([1, 1], pa.array([-1, -1001], pa.int64()).cast(pa.timestamp("ns", "UTC")), None)
    assert answers(entity, history) == [10, None]


def test_types_and_values_come_out_as_they_went_in(tmp_path: Path) -> None:
    values: dict[str, pa.Array] = {
        "int64": pa.array([2**53 + 1, None]),
        "uint8": pa.array([255, None], pa.uint8()),
        "float": pa.array([math.nan, None], pa.float32()),
        "bool": pa.array([True, None]),
        "decimal": pa.array([Decimal("123456789012345678901234567.89"), None]),
        "binary": pa.array([b"\0\xff", None]),
        "fixed": pa.array([b"abcd", None], pa.binary(4)),
        "large": pa.array(["Ä" * 9, None], pa.large_string()),
        "codes": pa.array(["x", None]).dictionary_encode(),
        "list": pa.array([[1, None], None]),
        "struct": pa.array([{"a": 1, "b": "x"}, None]),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        "nanos": pa.array([1, None], pa.timestamp("ns")),
        "zone": pa.array([NOON, None], pa.timestamp("us", "Europe/Berlin")),
        "day": pa.array([date(1, 1, 1), None]),
        "time": pa.array([1, None], pa.time64("us")),
        "null": pa.nulls(2),
        "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0123456789abcdef", None], pa.binary(16))),
    }
    table = pa.table({"k": [1, 2], "t": pa.array([NOON] * 2, US), **values})
    history = wrote(tmp_path, table, features=tuple((name, f"f_{name}") for name in values))
    entity = asked([2, 1, 3, 1], [at(1)] * 4)
    stored = pq.read_table(history.files[0])
    for plan in PLANS:
        found = by_plan(entity, [history], plan)
        for name in values:
            column = found.column(f"f_{name}")
            assert column.type == stored.schema.field(name).type
            assert column.combine_chunks().take([0, 2]).null_count == 2
            for row in (1, 3):
                assert repr(column[row].as_py()) == repr(stored.column(name)[0].as_py())


def test_view_without_entities_gives_its_newest_row_to_all(tmp_path: Path) -> None:
    table = pa.table({"t": pa.array([at(0), at(5), at(3)], US), "v": [1, 2, 3]})
    assert answers(asked([1, None, 3], [at(-1), at(4), at(6)]), wrote(tmp_path, table)) == [None, 3, 2]


def test_one_view_twice_under_two_keys(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1, 2], [NOON, NOON], [10, 20]))
    start = replace(history, keys=(("k", "start"),), features=(("v", "start_v"),))
    end = replace(history, keys=(("k", "end"),), features=(("v", "end_v"),))
    entity = pa.table({"start": [1, 2], "end": [2, 7], "when": pa.array([at(1)] * 2, US)})
    for plan in PLANS:
        found = by_plan(entity, [start, end], plan)
        assert found.column("start_v").to_pylist() == [10, 20]
        assert found.column("end_v").to_pylist() == [20, None]


def test_rows_stay_in_order_with_repeats_and_foreign_columns(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1, 2], [NOON, NOON], [10, 20]))
    entity = asked([2, 1, 2, 2], [at(1)] * 4).append_column("t", pa.array(["a", "b", "c", "c"]))
    for plan in PLANS:
        found = by_plan(entity, [history], plan)
        assert found.drop_columns("v").equals(entity)
        assert found.column("v").to_pylist() == [20, 10, 20, 20]


@pytest.mark.parametrize("rows", [0, 1])
def test_no_or_one_entity_row(tmp_path: Path, rows: int) -> None:
    history = wrote(tmp_path, simple([1], [NOON], [10]))
    assert answers(asked(pa.array([1], pa.int64()), [at(1)]).slice(0, rows), history) == [10][:rows]


def test_empty_files_and_files_without_row_groups(tmp_path: Path) -> None:
    full = simple([1], [NOON], [10])
    with pq.ParquetWriter(tmp_path / "bare.parquet", full.schema):
        pass
    history = wrote(tmp_path, full.slice(0, 0), full)
    bare = str(tmp_path / "bare.parquet")
    assert answers(asked([1], [at(1)]), replace(history, files=(bare, *history.files))) == [10]
    assert answers(asked([1], [at(1)]), replace(history, files=(bare,))) == [None]


def test_part_files_may_lack_a_column_or_hold_it_in_another_width(tmp_path: Path) -> None:
    old = pa.table({"k": pa.array([1, 2], pa.int32()), "t": pa.array([NOON] * 2, pa.timestamp("ms")), "w": ["a", "b"]})
    new = pa.table({"v": pa.array([7], pa.int16()), "t": pa.array([at(1)], US), "k": [1]})
    newer = pa.table({"k": [1], "t": pa.array([at(2)], US), "v": [2**40]})
    history = wrote(tmp_path, old, new, newer)
    assert answers(asked([1, 1, 1, 2], [at(0), at(1), at(2), at(3)]), history) == [None, 7, 2**40, None]


def test_files_that_are_not_in_time_order(tmp_path: Path) -> None:
    one = simple([1, 1, 2], [at(9), at(1), at(5)], [19, 11, 25])
    two = simple([2, 1, 1], [at(2), at(4), at(9)], [22, 14, 99])
    history = wrote(tmp_path, one, two)
    assert answers(asked([1, 1, 1, 2], [at(9), at(8), at(3), at(4)]), history) == [99, 14, 11, 22]


def test_folders_globs_and_names_with_glob_characters(tmp_path: Path) -> None:
    folder = tmp_path / "a [1] it's*"
    folder.mkdir()
    history = wrote(folder, simple([1], [at(0)], [10]), simple([1], [at(1)], [11]))
    for files in (history.files, (str(folder),)):
        assert answers(asked([1], [at(1)]), replace(history, files=files)) == [11]
    plain = wrote(tmp_path, simple([1], [at(2)], [12]))
    assert answers(asked([1], [at(2)]), replace(plain, files=(str(tmp_path / "part-*.parquet"),))) == [12]


def test_awkward_column_names(tmp_path: Path) -> None:
    names = ["select", 'a"b', "Ä ö", "x_y", "a.b", "it's", "V"]
    table = pa.table({"k": [1], "t": pa.array([NOON], US), **{name: [index] for index, name in enumerate(names)}})
    history = wrote(tmp_path, table, features=tuple((name, f"{name}_y") for name in names))
    for plan in PLANS:
        found = by_plan(asked([1], [at(1)]), [history], plan).to_pylist()[0]
        assert [found[f"{name}_y"] for name in names] == list(range(len(names)))


def test_a_query_is_a_history_too(tmp_path: Path) -> None:
    query = "SELECT i % 3 AS k, TIMESTAMP '2024-03-10 12:00:00' + to_seconds(i) AS t, i AS v FROM range(9) r(i) -- ok"
    history = History("view", "t", (("v", "v"),), (("k", "k"),), query=query)
    assert answers(asked([0, 1, 2], [at(4), at(4), at(1)]), history) == [3, 4, None]


def test_entity_rows_from_a_query_or_a_file(tmp_path: Path) -> None:
    history = wrote(tmp_path, simple([1, 2], [NOON, NOON], [10, 20]))
    entity = asked([2, 1], [at(1)] * 2)
    pq.write_table(entity, tmp_path / "entity.parquet")
    text = f"SELECT * FROM read_parquet('{tmp_path / 'entity.parquet'}') ORDER BY k DESC"
    for given in (tmp_path / "entity.parquet", EntityQuery(text)):
        assert join(given, "when", [history]).column("v").to_pylist() == [20, 10]


def test_the_answer_does_not_depend_on_threads(tmp_path: Path) -> None:
    many = 20_000
    times = [at(n % 50) for n in range(many)]
    created = pa.array([at(n % 3) for n in range(many)], US)
    table = simple([n % 40 for n in range(many)], times, list(range(many)), c=created)
    history = replace(wrote(tmp_path, table.slice(0, 1)), files=(str(tmp_path / "many.parquet"),))
    pq.write_table(table, history.files[0], row_group_size=3000)
    entity = asked([n % 41 for n in range(999)], [at(n % 60) for n in range(999)])
    found = [by_plan(entity, [history], plan, threads=threads) for plan in PLANS for threads in (1, 2)]
    assert all(other.equals(found[0]) for other in found)


def test_history_outside_the_span_of_the_entity_rows_is_not_read(tmp_path: Path) -> None:
    """The row groups outside are overwritten with rubbish: whoever reads them fails."""
    history = wrote(tmp_path, simple([1] * 6, [at(n) for n in range(6)], list(range(6))), ttl_us=1_000_000)
    path = Path(history.files[0])
    metadata = pq.read_metadata(path)
    content = bytearray(path.read_bytes())
    for outside in (0, 2):
        for index in range(metadata.num_columns):
            column = metadata.row_group(outside).column(index)
            start = column.dictionary_page_offset or column.data_page_offset
            content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    assert answers(asked([1], [at(3)]), history) == [3]


@pytest.mark.parametrize("statistics", [True, False])
def test_keys_beyond_those_of_the_history(tmp_path: Path, statistics: bool) -> None:
    keys = [-(2**63), 4, 5, 9, 10, 2**63 - 1]
    history = wrote(tmp_path, simple([5, 9], [NOON, NOON], [50, 90]))
    pq.write_table(pq.read_table(history.files[0]), history.files[0], write_statistics=statistics)
    assert answers(asked(keys, [at(1)] * 6), history) == [None, None, 50, 90, None, None]
    assert answers(asked(keys[1:5], [at(1)] * 4), history) == [None, 50, 90, None]


@pytest.mark.parametrize("keys", [[-(2**63), 5, 2**63 - 1], [2**63 - 2, 2**63 - 1], [-(2**63), -(2**63) + 1]])
def test_keys_of_the_history_far_beyond_those_asked_for(tmp_path: Path, keys: list[int]) -> None:
    history = wrote(tmp_path, simple(keys, [NOON] * len(keys), keys))
    assert answers(asked([4, 5, 6], [at(1)] * 3), history) == [None, 5 if 5 in keys else None, None]


def test_a_column_named_like_a_part_of_another(tmp_path: Path) -> None:
    """In a Parquet file the path of both is `a.b`."""
    inner = pa.array([{"b": 1}, {"b": 2}], pa.struct([pa.field("b", pa.int64(), nullable=False)]))
    times = pa.array([NOON, NOON], US)
    fields = [pa.field("a", inner.type, nullable=False), *(pa.field(name, pa.int64()) for name in ("a.b", "k"))]
    table = pa.table([inner, [7, 8], [1, 2], times], schema=pa.schema([*fields, pa.field("t", US)]))
    history = wrote(tmp_path, table, features=(("a.b", "v"),))
    assert answers(asked([1, 2], [at(1)] * 2), history) == [7, 8]
