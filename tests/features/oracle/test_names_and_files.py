"""Names of columns and views, and the forms in which a history may lie on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError
from tests.features.oracle.model import View
from tests.features.oracle.small import UTC_US, answered, at, history, request, values

if TYPE_CHECKING:
    from tests.features.oracle.world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
NAMES = [
    "a_y",
    "UPPER",
    "Mixed",
    "select",
    "order",
    "two words",
    'quo"te',
    "it's",
    "a.b",
    "a-b",
    "ünï",
    "1st",
    "rn",
    "rid",
]
NAMES += [
    "row_number",
    "file_row_number",
    "filename",
    "t",
    "k",
    "idx",
    "entity_row_id",
    "%s",
    "{x}",
    "key_1",
    "Keys",
    "ROW",
]


def named(feature: str, *rows: tuple[int, float, int]) -> View:
    """A view whose feature has this name in the file and in the view."""
    types = {"key": pa.int64(), "event_timestamp": UTC_US, feature: pa.int64()}
    told = [{"key": k, "event_timestamp": at(t), feature: v} for k, t, v in rows]
    return View("view", {"key": "key"}, {feature: feature}, types, told)


@pytest.mark.parametrize("feature", NAMES)
def test_a_feature_may_have_any_name(world: World, feature: str) -> None:
    case = request(named(feature, (1, 0, 7)), (1, 1), (2, 1))
    if feature == "ROW":  # beside the entity rows' own `row`
        assert "row" in case.types
    assert answered(world, case)[feature].to_pylist() == [7, None]


def test_columns_of_one_file_that_differ_in_case_only_are_refused(world: World) -> None:
    """DuckDB knows no difference between `key` and `Key`, and would read one for the other."""
    with pytest.raises(BoxError, match="no column 'Key'"):
        answered(world, request(named("Key", (1, 0, 7)), (1, 1)))


@pytest.mark.parametrize("column", ["a_y", "value_y", "created", "select", 'quo"te', "two words", "rn", "VALUE"])
def test_an_entity_column_may_have_any_name(world: World, column: str) -> None:
    case = request(history((1, 0, 0, 7)), (1, 1))
    rows = [{**case.rows[0], column: "mine"}]
    found = answered(world, replace(case, types={**case.types, column: pa.string()}, rows=rows))
    assert found[column].to_pylist() == ["mine"]
    assert found["value"].to_pylist() == [7]


def test_features_that_differ_in_case_only(world: World) -> None:
    views = [named("wind", (1, 0, 1)), replace(named("Wind", (1, 0, 2)), name="other")]
    found = answered(world, request(views, (1, 1)))
    assert (found["wind"].to_pylist(), found["Wind"].to_pylist()) == ([1], [2])


def test_the_same_feature_name_in_two_views_with_full_names(world: World) -> None:
    views = [history((1, 0, 0, 7)), history((1, 0, 0, 8), name="other")]
    found = answered(world, request(views, (1, 1), full_names=True))
    assert (found["view__value"].to_pylist(), found["other__value"].to_pylist()) == ([7], [8])


def test_columns_of_the_file_that_are_no_features_are_not_returned(world: World) -> None:
    view = history((1, 0, 0, 7))
    rows = [{**view.rows[0], "row": 99, "secret": 1}]
    more = replace(view, types={**view.types, "row": pa.int64(), "secret": pa.int64()}, rows=rows)
    found = answered(world, request(more, (1, 1)))
    assert found["row"].to_pylist() == [0] and "secret" not in found.column_names


def test_a_field_mapping_renames_keys_features_and_times(world: World) -> None:
    """`timestamp_field` names the column after the mapping, as in Feast's other stores."""
    from feast import FeatureView, Field, FileSource
    from feast.types import Int64

    from tests.features.oracle.world import declared_key

    path = world.folder / "mapped.parquet"
    times = pa.array([at(0), at(5)], UTC_US)
    pq.write_table(pa.table({"ID": [1, 1], "Measured At": times, "written": times, "V": [7, 8]}), path)
    mapping = {"ID": "key", "Measured At": "event_timestamp", "written": "created", "V": "value"}
    source = FileSource(
        name="mapped",
        path=str(path),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        field_mapping=mapping,
    )
    key = declared_key("key")
    schema = [Field(name="key", dtype=Int64), Field(name="value", dtype=Int64)]
    view = FeatureView(name="mapped", entities=[key], schema=schema, source=source)
    world.store.apply([key, view])
    entity = pa.table({"key": [1, 1], "event_timestamp": pa.array([at(4), at(5)], UTC_US)})
    found = world.store.get_historical_features(entity_df=entity, features=["mapped:value"]).to_arrow()
    world.store.apply([], objects_to_delete=[view, key], partial=False)
    assert found["value"].to_pylist() == [7, 8]


@pytest.mark.parametrize("given_as", ["pandas", "arrow", "polars", "reader", "parquet", "sql"])
def test_no_entity_rows_give_no_rows_with_all_columns(world: World, given_as: str) -> None:
    found = answered(world, request(history((1, 0, 0, 7)), given_as=given_as))
    assert found.column_names == ["row", "key", "event_timestamp", "value"]


def test_one_entity_row_and_one_row_of_history(world: World) -> None:
    assert values(world, history((1, 0, 0, 7)), (1, 0)) == [7]


def test_an_empty_history(world: World) -> None:
    assert values(world, history(), (1, 0), (2, 0)) == [None, None]


def written(world: World, view: View, *tables: pa.Table, groups: int | None = None) -> View:
    """The view with its history in a folder of files written by the test."""
    folder = world.folder / f"parts_{view.name}_{len(list(world.folder.iterdir()))}"
    folder.mkdir()
    for n, table in enumerate(tables):
        pq.write_table(table, folder / f"part-{n}.parquet", row_group_size=groups)
    return replace(view, path=str(folder))


def rows_of(*rows: tuple[int, float, int | float | None], value: pa.DataType | None = None) -> pa.Table:
    keys, times, told = zip(*rows, strict=True) if rows else ((), (), ())
    stamps = pa.array([at(t) for t in times], UTC_US)
    columns = {"key": pa.array(keys, pa.int64()), "event_timestamp": stamps, "created": stamps}
    return pa.table({**columns, "value": pa.array(told, value or pa.int64())})


def found_in(world: World, view: View, *asked: tuple[int, float]) -> list[int | float | None]:
    """`value` of each entity row; the history is what lies on disk."""
    case = request(view, *asked)
    found: list[int | float | None] = world.ask_whole(case).to_arrow()["value"].to_pylist()
    return found


def test_a_file_of_no_row_groups(world: World) -> None:
    path = world.folder / "no_groups.parquet"
    with pq.ParquetWriter(path, rows_of().schema):
        pass
    assert pq.ParquetFile(path).num_row_groups == 0
    assert found_in(world, replace(history(), path=str(path)), (1, 0)) == [None]


def test_an_empty_file_among_full_ones(world: World) -> None:
    view = written(world, history(), rows_of((1, 0, 7)), rows_of(), rows_of((2, 0, 8)))
    assert found_in(world, view, (1, 1), (2, 1)) == [7, 8]


def test_files_out_of_order_in_time(world: World) -> None:
    view = written(world, history(), rows_of((1, 9, 9), (2, 1, 1)), rows_of((1, 1, 1), (2, 9, 9)), rows_of((1, 5, 5)))
    assert found_in(world, view, (1, 6), (2, 6), (1, 10), (2, 10), (1, 2)) == [5, 1, 9, 9, 1]


def test_many_row_groups_out_of_order(world: World) -> None:
    rows = [((n * 7) % 10, (n * 37) % 1_000, (n * 37) % 1_000) for n in range(1_000)]
    view = written(world, history(), rows_of(*rows[:600]), rows_of(*rows[600:]), groups=50)
    asked = [(key, float(moment)) for key in range(10) for moment in (0, 1, 333, 999, 5_000)]
    right = [max((v for k, t, v in rows if k == key and t <= moment), default=None) for key, moment in asked]
    assert found_in(world, view, *asked) == right


def test_a_glob_of_files(world: World) -> None:
    view = written(world, history(), rows_of((1, 0, 7)), rows_of((2, 0, 8)))
    view = replace(view, path=f"{view.path}/*.parquet")
    assert found_in(world, view, (1, 1), (2, 1)) == [7, 8]


def test_a_later_file_without_the_feature_has_nulls(world: World) -> None:
    """Newer rows that do not know the column hide older values: nothing is filled forward."""
    view = written(world, history(), rows_of((1, 0, 7)), rows_of((1, 5, 0)).drop_columns(["value"]))
    assert found_in(world, view, (1, 1), (1, 6)) == [7, None]


def test_an_earlier_file_without_the_feature_has_nulls(world: World) -> None:
    view = written(world, history(), rows_of((1, 0, 7)).drop_columns(["value"]), rows_of((1, 5, 8)))
    assert found_in(world, view, (1, 1), (1, 6)) == [None, 8]


def test_part_files_with_the_feature_in_another_width(world: World) -> None:
    view = written(world, history(), rows_of((1, 0, 7), value=pa.int32()), rows_of((2, 0, 2**40)))
    assert found_in(world, view, (1, 1), (2, 1)) == [7, 2**40]


def test_part_files_with_columns_in_another_order(world: World) -> None:
    table = rows_of((2, 0, 8))
    view = written(world, history(), rows_of((1, 0, 7)), table.select(table.column_names[::-1]))
    assert found_in(world, view, (1, 1), (2, 1)) == [7, 8]


def test_a_path_with_quotes_and_spaces(world: World) -> None:
    path: Path = world.folder / 'it\'s a "path".parquet'
    pq.write_table(rows_of((1, 0, 7)), path)
    assert found_in(world, replace(history(), path=str(path)), (1, 1)) == [7]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_ways_to_write_parquet(world: World, compression: str, dictionary: bool) -> None:
    path = world.folder / f"{compression}_{dictionary}.parquet"
    table = rows_of(*((n % 5, n, n) for n in range(500)))
    pq.write_table(table, path, compression=compression, use_dictionary=dictionary, write_statistics=dictionary)
    assert found_in(world, replace(history(), path=str(path)), (1, 499), (2, 0)) == [496, None]
