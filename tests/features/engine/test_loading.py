"""`box features materialize` on boxplat's own stores."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply, materialize
from boxplat.features.reading import get
from boxplat.features.rows import Store
from tests.features.conftest import DEFINITIONS, SETTINGS, write_rows

OURS = (
    SETTINGS.replace("type: duckdb", "type: boxplat.features.BoxOfflineStore")
    .replace("type: sqlite", "type: boxplat.features.BoxOnlineStore")
    .replace("online.db", "online")
    + "batch_engine:\n  type: boxplat.features.BoxComputeEngine\n"
)
SECOND = """
gone = FeatureView(
    name="gone",
    entities=[airport],
    schema=[Field(name="airport", dtype=Int64), Field(name="gust", dtype=Float64)],
    source=source,
)
"""


@pytest.fixture
def ours(state: StateStore, paths: Paths, config: Config) -> Paths:
    """The repository on boxplat's stores, with a second view whose column the source lacks."""
    repo = paths.root / "feature_repo"
    (repo / "feature_store.yaml").write_text(OURS)
    (repo / "weather.py").write_text(DEFINITIONS)
    apply(state, paths, config, "test", lambda line: None)
    return paths


def rows_of(paths: Paths) -> Store:
    return Store(paths.root / ".box" / "feast" / "online" / "tiny")


def test_the_watermark_is_the_stores_own(state: StateStore, ours: Paths, config: Config, newest: float) -> None:
    """A load goes on where the store ended; a store that was lost is loaded from the first row, whatever the registry
    says."""
    told: list[str] = []

    def load(end: float) -> dict[str, int]:
        return materialize(state, ours, config, None, datetime.fromtimestamp(end, UTC).isoformat(), "test", told.append)

    assert load(newest - 3600) == {"reports": 10}
    assert rows_of(ours).status("reports").watermark_us == int((newest - 3600) * 1e6)
    assert load(newest - 3600) == {"reports": 0} and load(newest) == {"reports": 10}
    shutil.rmtree(rows_of(ours).folder)
    assert load(newest) == {"reports": 10}
    found = rows_of(ours).read("reports", {"airport": range(10)}, now_us=int(time.time() * 1e6))
    assert found.python("seen") == [100 * airport + 9 for airport in range(10)]
    assert "materialized reports: 10 rows" in told


def test_a_damaged_registry_is_named(state: StateStore, ours: Paths, config: Config) -> None:
    """Not the keys, nor the definitions: its file. Without it and applied again, everything is as before."""
    registry = ours.root / ".box" / "feast" / "registry.db"
    materialize(state, ours, config, None, None, "test", lambda line: None)
    registry.write_bytes(b"\x07\xff no registry")
    with pytest.raises(BoxError, match=r"registry of .* is damaged") as caught:
        get(ours, config, "reports:seen", [{"airport": 3}])
    assert "box features apply" in caught.value.fix
    registry.unlink()
    apply(state, ours, config, "test", lambda line: None)
    assert get(ours, config, "reports:seen", [{"airport": 3}])[0]["features"] == {"reports__seen": 309}


def test_a_kill_between_the_stores_commit_and_the_registrys(
    state: StateStore, ours: Paths, config: Config, newest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("feast.infra.registry.registry.Registry.apply_materialization", killed)
        materialize(state, ours, config, None, None, "test", lambda line: None)
    assert rows_of(ours).status("reports").rows == 10
    write_rows(ours, newest + 3600)
    assert materialize(state, ours, config, None, None, "test", lambda line: None) in ({"reports": 0}, {"reports": 10})
    assert rows_of(ours).status("reports").rows == 10
    assert materialize(state, ours, config, "2001-01-01", None, "test", lambda line: None) == {"reports": 10}
    assert rows_of(ours).status("reports").newest_event_us == int((newest + 3600) * 1e6)


def test_a_view_that_fails_is_named_and_the_others_are_loaded(state: StateStore, ours: Paths, config: Config) -> None:
    repo = ours.root / "feature_repo"
    (repo / "weather.py").write_text(DEFINITIONS + SECOND)
    apply(state, ours, config, "test", lambda line: None)
    with pytest.raises(BoxError, match="cannot materialize gone") as caught:
        materialize(state, ours, config, None, None, "test", lambda line: None)
    assert "'gust'" in caught.value.why and "box features apply" in caught.value.fix
    assert rows_of(ours).status("reports").rows == 10 and rows_of(ours).status("gone").rows == 0
    (event,) = [event for event in state.events.all(subject="features") if event.kind == "features.materialized"]
    assert event.data["rows"] == {"reports": 10} and event.data["failed"] == ["gone"]


def test_a_replay_must_be_told_its_moment(state: StateStore, ours: Paths, config: Config, newest: float) -> None:
    """Brought to the wall clock, every value of old data would expire."""
    settings = ours.root / "feature_repo" / "feature_store.yaml"
    settings.write_text(OURS.replace("BoxOnlineStore\n", "BoxOnlineStore\n  clock: materialization\n"))
    with pytest.raises(BoxError, match="the moment to bring online is not said") as caught:
        materialize(state, ours, config, None, None, "test", lambda line: None)
    assert "--end" in caught.value.fix
    until = datetime.fromtimestamp(newest, UTC).isoformat()
    assert materialize(state, ours, config, None, until, "test", lambda line: None) == {"reports": 10}
