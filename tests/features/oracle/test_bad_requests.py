"""Requests that cannot be answered: an error of four parts, at the latest when the answer is read; nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError
from tests.features.oracle.model import Case
from tests.features.oracle.small import UTC_US, at, history, request

if TYPE_CHECKING:
    from tests.features.oracle.world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def refused(ask: Callable[[], Any], *words: str) -> BoxError:
    """The error, which names what it is about; its cause and its mend are said, and are not the same."""
    with pytest.raises(BoxError) as caught:
        ask().to_arrow()
    error = caught.value
    text = str(error)
    assert error.what and error.why and error.fix and error.fix != error.why
    assert "Traceback" not in text
    for word in words:
        assert word in text, text
    return error


def asking(world: World, case: Case) -> Callable[[], Any]:
    return lambda: world.ask(case)


def with_history(world: World, table: pa.Table, **changes: Any) -> Callable[[], Any]:
    """A request whose history is this table and not what its view says."""
    path = world.folder / f"bad_{len(list(world.folder.iterdir()))}.parquet"
    pq.write_table(table, path)
    return asking(world, request(replace(history(), path=str(path)), (1, 1), **changes))


GOOD = pa.table(
    {"key": [1], "event_timestamp": pa.array([at(0)], UTC_US), "created": pa.array([at(0)], UTC_US), "value": [7]}
)


@pytest.mark.parametrize("column", ["key", "event_timestamp", "created", "value"])
def test_a_source_without_a_column_that_the_view_names(world: World, column: str) -> None:
    refused(with_history(world, GOOD.drop_columns([column])), column, "view")


def test_a_source_that_is_not_there(world: World) -> None:
    path = str(world.folder / "nowhere.parquet")
    refused(asking(world, request(replace(history(), path=path), (1, 1))), "nowhere.parquet")


def test_a_truncated_parquet_file(world: World, tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(GOOD, path)
    path.write_bytes(path.read_bytes()[:-40])
    refused(asking(world, request(replace(history(), path=str(path)), (1, 1))), "cut.parquet")


def test_a_parquet_file_cut_in_its_middle(world: World, tmp_path: Path) -> None:
    """The footer is whole and the pages are not."""
    path = tmp_path / "middle.parquet"
    many = pa.table({name: pa.concat_tables([GOOD] * 5_000)[name].combine_chunks() for name in GOOD.column_names})
    pq.write_table(many, path, compression="zstd", use_dictionary=False)
    whole = bytearray(path.read_bytes())
    whole[40 : len(whole) // 2] = bytes(len(whole) // 2 - 40)
    path.write_bytes(whole)
    refused(asking(world, request(replace(history(), path=str(path)), (1, 1))), "middle.parquet")


def test_a_file_that_is_not_parquet(world: World, tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    path.write_text("key,value\n1,7\n")
    refused(asking(world, request(replace(history(), path=str(path)), (1, 1))), "text.parquet")


def test_entity_rows_without_a_key(world: World) -> None:
    case = request(history((1, 0, 0, 7)), (1, 1))
    entity = pa.table({"other": [1], "event_timestamp": pa.array([at(1)], UTC_US)})
    refused(lambda: world.ask_with(case, entity), "key")


@pytest.mark.parametrize("as_pandas", [False, True])
def test_entity_rows_without_times(world: World, as_pandas: bool) -> None:
    case = request(history((1, 0, 0, 7)), (1, 1))
    entity = pa.table({"key": [1], "note": ["x"]})
    refused(lambda: world.ask_with(case, entity.to_pandas() if as_pandas else entity), "event_timestamp")


def test_entity_rows_with_two_time_columns_and_none_of_the_name(world: World) -> None:
    times = pa.array([at(1)], UTC_US)
    refused(
        lambda: world.ask_with(request(history(), (1, 1)), pa.table({"key": [1], "a": times, "b": times})), "a", "b"
    )


@pytest.mark.parametrize("times", [pa.array([1.5]), pa.array([True]), pa.array(["not a time"])])
def test_entity_times_that_are_none(world: World, times: pa.Array) -> None:
    entity = pa.table({"key": [1], "event_timestamp": times})
    refused(lambda: world.ask_with(request(history((1, 0, 0, 7)), (1, 1)), entity), "event_timestamp")


KEYS = [(pa.string(), "1", pa.int64(), 1), (pa.int64(), 1, pa.string(), "1")]


@pytest.mark.parametrize(("mine", "value", "theirs", "source"), KEYS, ids=["text-int", "int-text"])
def test_a_key_of_another_type(world: World, mine: pa.DataType, value: Any, theirs: pa.DataType, source: Any) -> None:
    case = request(history((source, 0, 0, 7), key=theirs), (value, 1), key=mine)
    refused(asking(world, case), "key", "view")


@pytest.mark.parametrize("type_", [pa.float64(), pa.string(), pa.bool_()])
def test_source_times_of_a_type_that_holds_none(world: World, type_: pa.DataType) -> None:
    odd = {pa.float64(): 1.5, pa.string(): "never", pa.bool_(): True}[type_]
    refused(with_history(world, GOOD.set_column(1, "event_timestamp", pa.array([odd], type_))), "event_timestamp")


def test_a_feature_that_the_view_does_not_have(world: World) -> None:
    from tests.features.oracle.world import entity_rows, feature_view, write

    told = history((1, 0, 0, 7))
    case = request(told, (1, 1))
    view = feature_view(told, write(told, world.folder))
    options = {"config": world.config, "registry": world.store.registry, "project": "oracle"}
    rows = entity_rows(case, world.folder)

    def ask() -> Any:
        return world.offline.get_historical_features(
            feature_views=[view], feature_refs=["view:valeu"], entity_df=rows, **options
        )

    refused(ask, "valeu")


def test_a_feature_named_as_an_entity_column(world: World) -> None:
    case = request(history((1, 0, 0, 7)), (1, 1))
    clash = replace(case, types={**case.types, "value": pa.int64()}, rows=[{**case.rows[0], "value": 5}])
    refused(asking(world, clash), "value")


def test_one_feature_name_in_two_views_without_full_names(world: World) -> None:
    case = request([history((1, 0, 0, 7)), history((1, 0, 0, 8), name="other")], (1, 1))
    refused(asking(world, case), "value")


@pytest.mark.parametrize("query", ["select", "select * from nowhere", "select 1 as key; drop table x"])
def test_a_query_for_entity_rows_that_is_wrong(world: World, query: str) -> None:
    refused(lambda: world.ask_with(request(history((1, 0, 0, 7)), (1, 1)), query))


def test_entity_rows_of_a_kind_that_is_none(world: World) -> None:
    refused(lambda: world.ask_with(request(history((1, 0, 0, 7)), (1, 1)), {"key": [1]}))


def test_a_row_to_append_without_a_column_leaves_the_source_as_it_was(world: World, tmp_path: Path) -> None:
    from tests.features.oracle.world import feature_view

    path = tmp_path / "source"
    path.mkdir()
    pq.write_table(GOOD, path / "part-0.parquet")
    view = feature_view(replace(history(), path=str(path)), path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    for wrong in (GOOD.drop_columns(["value"]), GOOD.set_column(3, "value", pa.array(["text"]))):
        with pytest.raises(BoxError):
            world.offline.offline_write_batch(world.config, view, wrong, None)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_memory_limit_that_is_none(tmp_path: Path) -> None:
    from feast import FeatureStore, RepoConfig

    from boxplat.features.offline.plugin import BoxOfflineStore
    from tests.features.oracle.world import World

    config = RepoConfig(
        project="bad",
        provider="local",
        registry=str(tmp_path / "r.db"),
        offline_store={"type": "boxplat.features.BoxOfflineStore", "memory_limit": "much"},
        online_store={"type": "sqlite", "path": str(tmp_path / "o.db")},
        entity_key_serialization_version=3,
    )
    bad = World(FeatureStore(config=config), BoxOfflineStore, tmp_path)
    refused(asking(bad, request(history((1, 0, 0, 7)), (1, 1))), "memory_limit")
