"""Every plan, forced in turn, gives what the definition of the join gives, for wild but small inputs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.features.join import History, Options, join
from boxplat.features.join.match import BYTES_PER_ROW
from tests.features.join.oracle import EPOCH, expected

US = pa.timestamp("us", "UTC")
# Few different values, so that ties, duplicates, hits exactly at the time to live and misses are all frequent.
MOMENTS = st.integers(0, 12).map(lambda n: EPOCH + timedelta(seconds=n))
KEY_TYPES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "small": (pa.int64(), [0, 1, 2, 3]),
    "wide": (pa.int64(), [-(2**63), -1, 0, 2**63 - 1]),
    "short": (pa.int32(), [-5, 0, 7, 2**31 - 1]),
    "text": (pa.string(), ["", "1", "11", "Ä"]),
    "bytes": (pa.binary(), [b"", b"\0", b"\0\0", b"x"]),
    "bool": (pa.bool_(), [True, False]),
    "day": (pa.date32(), [(EPOCH + timedelta(days=n)).date() for n in range(3)]),
    "float": (pa.float64(), [-0.5, 0.0, 1.5, 2.0**60]),
}


@dataclass(frozen=True)
class Case:
    entity: pa.Table
    history: History
    parts: list[pa.Table]
    group_rows: int

    @property
    def table(self) -> pa.Table:
        return pa.concat_tables(self.parts)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values, values, values, values)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kinds = draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), max_size=2))
    schema = pa.schema(
        [
            *(pa.field(f"k{index}", KEY_TYPES[kind][0]) for index, kind in enumerate(kinds)),
            pa.field("event time", US),
            pa.field("created", US),
            pa.field("number", pa.int64()),
            pa.field("text", pa.string()),
        ]
    )
    keys = [maybe(st.sampled_from(KEY_TYPES[kind][1])) for kind in kinds]
    numbers = maybe(st.sampled_from([2**53 + 1, -1, 0]))
    row = st.tuples(*keys, maybe(MOMENTS), maybe(MOMENTS), numbers, maybe(st.sampled_from(["a", "bb", ""])))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.lists(row, max_size=25))
        if draw(st.booleans()):
            rows.sort(key=lambda values: values[len(kinds)] or EPOCH)
        parts.append(
            pa.table([list(values) for values in zip(*rows, strict=True)] or [[]] * len(schema), schema=schema)
        )
    wanted = draw(st.lists(st.tuples(*keys, maybe(MOMENTS)), max_size=12))
    names = [*(f"e{index}" for index in range(len(kinds))), "when"]
    types = [*(KEY_TYPES[kind][0] for kind in kinds), US]
    columns = [list(values) for values in zip(*wanted, strict=True)] or [[]] * len(names)
    entity = pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)], names=names
    ).append_column("row", pa.array(range(len(wanted)), pa.int64()))
    history = History(
        "view",
        "event time",
        (("number", "f_number"), ("text", "f_text")),
        tuple((f"k{index}", f"e{index}") for index in range(len(kinds))),
        created="created" if draw(st.booleans()) else None,
        ttl_us=draw(st.sampled_from([None, 0, 1, 3_000_000])),
    )
    return Case(entity, history, parts, draw(st.sampled_from([1, 4, 100])))


def written(case: Case, folder: Path) -> History:
    files = tuple(str(folder / f"part-{index}.parquet") for index in range(len(case.parts)))
    for path, part in zip(files, case.parts, strict=True):
        pq.write_table(part, path, row_group_size=case.group_rows)
    return replace(case.history, files=files)


def in_sql(case: Case, folder: Path) -> History:
    files = ", ".join(f"'{path}'" for path in written(case, folder).files)
    query = f"SELECT * FROM read_parquet([{files}]) ORDER BY file_index, file_row_number"
    return replace(case.history, query=query)


@pytest.mark.parametrize("cutoff", [False, True])
@given(case=cases())
@settings(max_examples=40, deadline=None)
def test_all_plans_agree_with_the_definition(case: Case, cutoff: bool) -> None:
    wanted = expected(case.entity, "when", [(case.history, case.table)], cutoff)
    with tempfile.TemporaryDirectory() as name:
        history = written(case, Path(name))
        for plan in ("sort", "lookback", "sql"):
            found = join(case.entity, "when", [history], Options(created_cutoff=cutoff, plan=plan))
            assert found.to_pylist() == wanted, plan
        found = join(case.entity, "when", [in_sql(case, Path(name))], Options(created_cutoff=cutoff))
        assert found.to_pylist() == wanted, "query"


@given(case=cases())
@settings(max_examples=40, deadline=None)
def test_slices_of_one_row_group_agree_with_the_definition(case: Case) -> None:
    """Rows of equal key and time lie in different slices: which one wins is decided between slices."""
    from boxplat.features.join import session

    wanted = expected(case.entity, "when", [(case.history, case.table)])
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "LEAST_ROWS", 1)
        history = written(case, Path(name))
        tiny = Options(memory_limit=str(4 * BYTES_PER_ROW), threads=1)
        assert join(case.entity, "when", [history], tiny).to_pylist() == wanted
