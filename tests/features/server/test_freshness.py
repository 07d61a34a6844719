"""How old the features are, without Feast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from boxplat.core.config import Config, FeaturesConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features.freshness import freshness
from boxplat.features.rows import Store
from boxplat.render import freshness as table
from tests.features.server.conftest import MOMENT, apply, fill, write_repository

pytestmark = pytest.mark.integration
CONFIG = Config(features=FeaturesConfig(repo="repository"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    root = tmp_path_factory.mktemp("fresh")
    write_repository(root / "repository", "box")
    apply(root / "repository")
    fill(root / "repository", rows={"short": [({"driver_id": 1}, {"n": 1})]})
    return Paths(root)


def test_a_view_is_stale_when_its_newest_row_is_older_than_its_life_time(project: Paths) -> None:
    on_time, late = ({view["view"]: view for view in freshness(project, CONFIG, now)} for now in TIMES)
    assert on_time["short"] == {
        "view": "short",
        "newest_event": MOMENT.isoformat(),
        "ttl_seconds": 3600.0,
        "lag_seconds": 3600.0,
        "stale": False,
        "rows": 1,
        "materialized_until": None,
        "materialized_at": None,
        "next_materialization": None,
    }
    assert (late["short"]["lag_seconds"], late["short"]["stale"]) == (3600.000001, True)


TIMES = ("2026-01-02T04:04:05Z", "2026-01-02T04:04:05.000001")


def test_a_view_without_a_life_time_is_never_stale(project: Paths) -> None:
    found = {view["view"]: view for view in freshness(project, CONFIG)}
    assert found["short"]["stale"]
    assert found["every"] | {"rows": 0, "stale": False, "newest_event": None, "lag_seconds": None} == found["every"]


def test_a_load_tells_how_far_it_went(project: Paths) -> None:
    store = Store(project.root / "repository" / "online" / "wild")
    with store.load("cities") as load:
        load.write(0, 1, {"city": ["z"]}, np.array([1_767_000_000_000_000]), None, [("n", [1])])
        load.commit(1_767_000_000_500_000)
    found = next(view for view in freshness(project, CONFIG) if view["view"] == "cities")
    assert found["materialized_until"] == "2025-12-29T09:20:00.500000+00:00"
    assert found["newest_event"] == "2025-12-29T09:20:00+00:00"
    assert found["materialized_at"] > MOMENT.isoformat()


def test_ages_can_be_counted_from_the_last_materialization(project: Paths) -> None:
    settings = project.root / "repository" / "feature_store.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("path: online}", "path: online, clock: materialization}"))
    try:
        apply(project.root / "repository")
        found = {view["view"]: view for view in freshness(project, CONFIG)}
        assert found["cities"]["lag_seconds"] == 0.5
        assert found["short"]["lag_seconds"] > 3600
    finally:
        settings.write_text(before)
        apply(project.root / "repository")


def test_it_does_not_load_feast(project: Paths) -> None:
    code = (
        "import sys; from pathlib import Path; from boxplat.core.paths import Paths\n"
        "from boxplat.core.config import Config, FeaturesConfig\n"
        "from boxplat.features.freshness import freshness\n"
        "config = Config(features=FeaturesConfig(repo='repository'))\n"
        f"print(len(freshness(Paths(Path({str(project.root)!r})), config)))\n"
        "assert 'feast' not in sys.modules and 'pandas' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


def test_what_it_cannot_know_it_says(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with pytest.raises(BoxError, match="no Feast repository") as none:
        freshness(paths, CONFIG)
    assert none.value.code is ExitCode.NOT_FOUND
    write_repository(tmp_path / "repository", "box")
    with pytest.raises(BoxError, match="applied") as empty:
        freshness(paths, CONFIG)
    assert empty.value.code is ExitCode.NOT_FOUND
    settings = tmp_path / "repository" / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("boxplat.features.BoxOnlineStore", "sqlite"))
    with pytest.raises(BoxError, match="sqlite") as other:
        freshness(paths, CONFIG)
    assert other.value.code is ExitCode.USAGE


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write_repository(tmp_path / "repository", "box")
    (tmp_path / "repository" / "feature_store.yaml").write_text("project: [unclosed")
    with pytest.raises(BoxError, match=r"cannot read .*feature_store\.yaml") as broken:
        freshness(Paths(tmp_path), CONFIG)
    assert broken.value.code is ExitCode.USAGE


def test_settings_may_name_variables_of_the_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`box features apply` has them, so this must too."""
    repository = tmp_path / "repository"
    write_repository(repository, "box")
    settings = repository / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("path: online}", "path: ${BOXPLAT_BOX}/online}"))
    with monkeypatch.context() as box:
        box.setenv("BOXPLAT_BOX", str(Paths(tmp_path).state))
        apply(repository)
    assert len(freshness(Paths(tmp_path), CONFIG)) == 7


def test_a_time_that_is_none_is_refused(project: Paths) -> None:
    with pytest.raises(BoxError, match="yesterday"):
        freshness(project, CONFIG, "yesterday")


def test_an_event_of_the_future_has_an_age_that_reads(project: Paths) -> None:
    """A device whose clock is wrong: its rows hide all later ones, and the table is where one sees it."""
    views = freshness(project, CONFIG, "2025-12-30T03:04:05Z")
    assert "  -3 d 00 h  " in next(line for line in table(views).splitlines() if line.startswith("short "))
