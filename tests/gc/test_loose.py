"""Files that nothing names: what of logs, caches, predictions and merged features may go, and what is at work."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from boxplat.core.config import Config, EndpointConfig
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.offline.files import listing
from boxplat.features.offline.merge import absorb
from boxplat.features.offline.publish import write_table
from boxplat.gc import loose
from boxplat.gc.holding import Held
from boxplat.gc.model import Item, Value
from boxplat.serving.log import retention
from boxplat.serving.log.asking import folder_of
from tests.releases.record.story import answered

DAY = 86_400.0
TABLE = pa.table({"a": [1]})


@pytest.fixture
def paths(project: Path) -> Paths:
    return Paths(project)


def found(state: StateStore, paths: Paths, held: Held | None = None, config: Config | None = None) -> dict[str, Item]:
    items = loose.items(state, paths, config or Config(), held or Held(), time.time())
    return {item.subject: item for item in items}


def aged(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10_000)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_logs_of_what_still_runs_stay(state: StateStore, paths: Paths) -> None:
    state.services.add(Service("mine", ("true",)), "test")
    for name in ("mine", "delay@7", "delay@8.2", "delay@9", "supervisor", "build-delay", "crash-1"):
        aged(paths.logs / f"{name}.log", 9)
    aged(paths.logs / "mine.log.2", 9)
    aged(paths.logs / "notes.txt", 9)
    held = Held(releases={("delay", 8): "live", ("delay", 9): "a rollback returns to it"})
    assert set(found(state, paths, held)) == {
        "log/delay@7.log",
        "log/build-delay.log",
        "log/crash-1.log",
        "log/mine.log.2",
    }


def test_a_cache_that_somebody_uses_stays(state: StateStore, paths: Paths) -> None:
    aged(paths.bentoml / "tmp" / "old" / "file", 1)
    os.utime(paths.bentoml / "tmp" / "old", (time.time() - DAY,) * 2)
    aged(paths.bentoml / "tmp" / "young" / "file", 0)
    aged(paths.state / "trash" / "left", 0)
    items = found(state, paths)
    assert set(items) == {"cache/tmp/old", "cache/trash/left"}
    assert all(item.value is Value.NONE for item in items.values())


def test_predictions_go_by_the_longest_retention_that_was_promised(state: StateStore, paths: Paths) -> None:
    answered(paths, 1, [1, 2, 3])
    folder = folder_of(paths, "delay")
    for path in folder.iterdir():
        os.utime(path, (time.time() - 20 * DAY,) * 2)
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    config = Config(endpoints={"delay": EndpointConfig(log_days=10)})
    assert retention.due(folder, 10, 0) == sorted(files) != []
    assert found(state, paths, config=config)["predictions/delay"].data["days"] == 10
    state.releases.add("delay", "delay:c", None, None, None, "e", "me", None, {"log_days": 30})
    assert found(state, paths, config=config) == {}
    assert retention.enforce(folder, 10, 0) == sorted(files)


def test_files_that_a_merge_has_replaced_go(state: StateStore, paths: Paths) -> None:
    source = paths.data / "x.parquet"
    write_table(TABLE, source)
    part = paths.data / "x.parquet.parts" / "part-1.parquet"
    write_table(TABLE, part)
    content = part.read_bytes()
    assert found(state, paths) == {}
    absorb(TABLE.to_reader(), source)
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(content)  # as after a kill between the rename and the removal
    assert set(found(state, paths)) == {"features/x.parquet.parts/part-1.parquet"}
    assert listing(str(source)).files == (str(source),)
