"""Forms in which entity rows come, forms in which answers go, and what stands between: on-demand views, saved data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.features.oracle.cases import EPOCH, SECOND
from tests.features.oracle.small import UTC_US, answered, at, history, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feast import FeatureStore

    from tests.features.oracle.world import World

BIG = 2**53 + 1
FORMS = ["pandas", "pandas-arrow", "arrow", "polars", "reader", "parquet", "sql"]
START = datetime.fromtimestamp(EPOCH / SECOND, UTC)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.mark.parametrize("given_as", FORMS)
def test_entity_rows_in_any_form(world: World, given_as: str) -> None:
    case = request(history((1, 0, 0, BIG), (2, 0, 0, None)), (2, 1), (1, 1), (3, 1), (1, -1), given_as=given_as)
    assert answered(world, case)["value"].to_pylist() == [None, BIG, None, None]


@pytest.fixture
def three(world: World) -> Iterator[FeatureStore]:
    """A repository with one view of three rows of key 1 and one of key 2, and an on-demand view on top of it."""
    from feast import Field, RequestSource
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Int64

    from tests.features.oracle.world import declared_key, feature_view, write

    told = history((1, 0, 0, 10), (1, 10, 10, 11), (1, 20, 20, 12), (2, 10, 10, BIG))
    view, key = feature_view(told, write(told, world.folder)), declared_key("key")
    plus = RequestSource(name="plus", schema=[Field(name="more", dtype=Int64)])

    @on_demand_feature_view(sources=[view, plus], schema=[Field(name="total", dtype=Int64)], mode="python")
    def summed(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        pairs = zip(inputs["value"], inputs["more"], strict=True)
        return {"total": [None if value is None else value + more for value, more in pairs]}

    world.store.apply([key, view, summed])
    yield world.store
    world.store.apply([], objects_to_delete=[summed, view, key], partial=False)


def entity(*rows: tuple[int, float], **more: list[Any]) -> pa.Table:
    keys, times = zip(*rows, strict=True)
    return pa.table({"key": list(keys), "event_timestamp": pa.array([at(t) for t in times], UTC_US), **more})


VALUE = ["view:value"]


def test_the_callers_frame_is_left_as_it_was(three: FeatureStore) -> None:
    frame = entity((1, 15), (2, 15), note=["a", "b"]).to_pandas()
    frame["event_timestamp"] = frame["event_timestamp"].dt.tz_localize(None)
    frame.index = [7, 3]
    before = frame.copy(deep=True)
    three.get_historical_features(entity_df=frame, features=VALUE).to_df()
    assert frame.equals(before) and list(frame.dtypes) == list(before.dtypes) and list(frame.index) == [7, 3]


def test_the_index_of_a_frame_does_not_matter(three: FeatureStore) -> None:
    frame = entity((1, 15), (2, 15), (1, 5)).to_pandas()
    frame.index = [5, 5, 0]
    found = three.get_historical_features(entity_df=frame, features=VALUE).to_arrow()
    assert found.column_names == ["key", "event_timestamp", "value"]
    assert found["value"].to_pylist() == [11, BIG, 10]


def test_without_entity_rows_all_rows_between_two_dates(three: FeatureStore) -> None:
    """Each distinct (key, time) of the history in the range, both ends included, with its value."""
    ends = START + timedelta(seconds=10), START + timedelta(seconds=20)
    found = three.get_historical_features(features=VALUE, start_date=ends[0], end_date=ends[1]).to_arrow()
    rows = {(row["key"], row["event_timestamp"].astimezone(UTC), row["value"]) for row in found.to_pylist()}
    assert rows == {(1, ends[0], 11), (2, ends[0], BIG), (1, ends[1], 12)}
    assert found.num_rows == 3


def test_a_reader_gives_the_rows_in_batches(three: FeatureStore) -> None:
    asked = entity(*[(1 + n % 2, n % 30) for n in range(1_000)], row=list(range(1_000)))
    job = three.get_historical_features(entity_df=asked, features=VALUE)
    batches: list[pa.RecordBatch] = list(job.to_arrow_reader(100))  # type: ignore[attr-defined]
    assert max(batch.num_rows for batch in batches) <= 100
    assert pa.Table.from_batches(batches).to_pylist() == job.to_arrow().to_pylist()


def test_a_parquet_file_holds_what_arrow_would(three: FeatureStore, tmp_path: Path) -> None:
    asked = entity(*[(1 + n % 3, n % 30) for n in range(1_000)], row=list(range(1_000)))
    job = three.get_historical_features(entity_df=asked, features=VALUE)
    assert job.to_parquet(tmp_path / "out.parquet") == 1_000  # type: ignore[attr-defined]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == job.to_arrow().to_pylist()
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_to_pandas_rounds_no_integer(three: FeatureStore) -> None:
    found = three.get_historical_features(entity_df=entity((2, 15), (9, 15)), features=VALUE).to_df()
    assert int(found["value"][0]) == BIG
    assert found["value"].isna().tolist() == [False, True]


def test_to_tensors(three: FeatureStore) -> None:
    found = three.get_historical_features(entity_df=entity((2, 15), (1, 15)), features=VALUE).to_tensor()
    assert found["value"].tolist() == [BIG, 11]


def test_on_demand_views_see_the_joined_values_and_the_request(three: FeatureStore) -> None:
    asked = entity((1, 15), (2, 5), (1, 25), more=[100, 200, 300]).to_pandas()
    found = three.get_historical_features(entity_df=asked, features=[*VALUE, "summed:total"]).to_df()
    assert found["total"].tolist()[0] == 111 and found["total"].tolist()[2] == 312
    assert np.isnan(found["total"].astype(float)[1])


def test_on_demand_views_alone(three: FeatureStore) -> None:
    asked = entity((1, 15), more=[100])
    found = three.get_historical_features(entity_df=asked.to_pandas(), features=["summed:total"]).to_arrow()
    assert found["total"].to_pylist() == [111]


def test_a_saved_dataset_comes_back_as_it_was(three: FeatureStore, tmp_path: Path) -> None:
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    job = three.get_historical_features(entity_df=entity((1, 15), (2, 15), (9, 15)), features=VALUE)
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))
    saved = three.create_saved_dataset(from_=job, name="saved", storage=storage)
    found = saved._retrieval_job.to_arrow() if saved._retrieval_job else three.get_saved_dataset("saved").to_arrow()
    wanted = {(row["key"], row["value"]) for row in job.to_arrow().to_pylist()}
    assert {(row["key"], row["value"]) for row in found.to_pylist()} == wanted


def test_rows_written_to_the_offline_store_are_seen_and_none_is_lost(three: FeatureStore) -> None:
    import pandas as pd

    stamps = pd.to_datetime([at(30), at(31)], unit="us", utc=True)
    rows = pd.DataFrame({"key": [1, 5], "event_timestamp": stamps, "created": stamps, "value": [13, 50]})
    three.write_to_offline_store("view", rows)
    found = three.get_historical_features(entity_df=entity((1, 100), (5, 100), (2, 100), (1, 15)), features=VALUE)
    assert found.to_arrow()["value"].to_pylist() == [13, 50, BIG, 11]


def test_a_job_may_be_read_twice_and_in_any_form(three: FeatureStore) -> None:
    job = three.get_historical_features(entity_df=entity((1, 15), (2, 15)).to_reader(), features=VALUE)
    assert job.to_arrow()["value"].to_pylist() == [11, BIG]
    assert job.to_df()["value"].tolist() == [11, BIG]


def test_the_newest_rows_between_two_times(three: FeatureStore) -> None:
    """What materialization asks an offline store for; a later row outside the range does not count."""
    view = three.get_feature_view("view")
    offline = three._get_provider().offline_store
    job = offline.pull_latest_from_table_or_query(
        config=three.config,
        data_source=view.batch_source,
        join_key_columns=["key"],
        feature_name_columns=["value"],
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        start_date=START,
        end_date=START + timedelta(seconds=15),
    )
    assert {(row["key"], row["value"]) for row in job.to_arrow().to_pylist()} == {(1, 11), (2, BIG)}
