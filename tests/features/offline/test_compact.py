"""`box features compact`: the verb over a repository."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply
from boxplat.features.offline.append import append
from boxplat.features.offline.compact import Merged, compact
from boxplat.features.offline.files import listing

LIMITS = SimpleNamespace(memory_limit=None, threads=None, temp_directory=None, settings={})


@pytest.fixture
def path(state: StateStore, paths: Paths, config: Config) -> str:
    """The sample's file of 100 rows and a part of 10 more, registered."""
    from feast import FileSource

    apply(state, paths, config, "test", lambda _: None)
    file = str(paths.data / "reports.parquet")
    append(FileSource(path=file, timestamp_field="event_timestamp"), pq.read_table(file).slice(0, 10), None, LIMITS)
    return file


@pytest.mark.parametrize(("order", "column"), [("time", "event_timestamp"), ("key", "airport")])
def test_parts_become_one_file_in_order(
    state: StateStore, paths: Paths, config: Config, path: str, order: str, column: str
) -> None:
    told: list[str] = []
    assert compact(state, paths, config, None, order, "test", told.append) == {"reports": Merged(2, 1, 110)}
    assert listing(path).files == (path,) and "merged reports: 2 files to 1, 110 rows" in told
    values = pq.read_table(path).column(column).to_pylist()
    assert len(values) == 110 and values == sorted(values)
    assert compact(state, paths, config, None, order, "test", told.append) == {}
    found = [event for event in state.events.all() if event.kind == "features.compacted"]
    assert found[0].data["files"] == {"reports": [2, 1]} and found[0].data["order"] == order


def test_what_it_cannot_merge_it_names(state: StateStore, paths: Paths, config: Config, path: str) -> None:
    with pytest.raises(BoxError, match="no feature view 'report'") as caught:
        compact(state, paths, config, "report", "time", "test", lambda _: None)
    assert caught.value.code == ExitCode.NOT_FOUND
    with pytest.raises(BoxError, match="no order 'size'"):
        compact(state, paths, config, None, "size", "test", lambda _: None)
