"""The feature verbs as commands: exit codes, one object on standard output, and no Feast where none is needed."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from boxplat.core.errors import ExitCode
from boxplat.core.paths import Paths
from tests.cli.test_errors import four_parts
from tests.conftest import run_box
from tests.features.conftest import DEFINITIONS, SETTINGS, write_rows

pytestmark = pytest.mark.integration
OURS = SETTINGS.replace("type: duckdb", "type: boxplat.features.BoxOfflineStore")
OURS = OURS.replace("type: sqlite\n  path: ../.box/feast/online.db", "type: boxplat.features.BoxOnlineStore")
OURS += "batch_engine:\n  type: boxplat.features.BoxComputeEngine\n"
AUDIT = """
[audit]
table = ".box/data/set.parquet"
build = "make:build"
row = ["airport"]
[sources.reports]
path = ".box/data/reports.parquet"
known = "event_timestamp"
"""
# The set holds each airport's last wind of all, decided at the median report.
MAKE = """
import duckdb

def build(folder, rows=None):
    return duckdb.sql(f'''select airport, (select median(event_timestamp) from '{folder}/reports.parquet') as
        event_timestamp, max(wind) as wind from '{folder}/reports.parquet' group by airport''').to_arrow_table()
"""


@pytest.fixture(scope="module")
def newest() -> float:
    """Seconds since the epoch."""
    return time.time() - 7200


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, newest: float) -> Path:
    """A project whose views are applied and materialized; the newest rows are two hours old, the TTL is a day."""
    root = tmp_path_factory.mktemp("features")
    (root / "boxplat.toml").write_text(f'[project]\nname = "tiny"\n{AUDIT}')
    (root / "feature_repo").mkdir()
    (root / "feature_repo" / "feature_store.yaml").write_text(OURS)
    (root / "feature_repo" / "definitions.py").write_text(DEFINITIONS)
    (root / "flows").mkdir()
    (root / "flows" / "make.py").write_text(MAKE)
    paths = Paths(root)
    paths.create()
    write_rows(paths, newest)
    for verb in ("apply", "materialize"):
        done = run_box(root, "features", verb)
        assert done.returncode == 0, done.stderr
        # What Feast's libraries print meanwhile is kept away, our own lines are not.
        assert done.stderr.startswith("· loading Feast (some seconds)\n· ")
    return root


def test_values_come_with_their_status(root: Path, newest: float) -> None:
    done = run_box(root, "features", "get", "weather_v1", '[{"airport": 3}, {"airport": 99}]', "--json")
    known, unknown = json.loads(done.stdout)["rows"]
    assert known["features"] == {"reports__wind": 309.0, "reports__seen": 309}
    assert known["status"] == {"reports__wind": "PRESENT", "reports__seen": "PRESENT"}
    # However long the verbs before took.
    assert 7200 <= known["age_seconds"]["reports"] <= time.time() - newest
    assert set(unknown["status"].values()) == {"NOT_FOUND"} and set(unknown["features"].values()) == {None}
    view = run_box(root, "features", "get", "reports", '{"airport": 3}')
    assert "airport=3" in view.stdout
    assert re.search(r"reports__wind  309\.0  PRESENT  2 h [0-5]\d m", view.stdout)


def test_a_stale_view_is_exit_code_7(root: Path) -> None:
    fresh = run_box(root, "features", "freshness", "--json")
    assert fresh.returncode == 0
    (view,) = json.loads(fresh.stdout)["views"]
    assert (view["view"], view["rows"], view["stale"], view["ttl_seconds"]) == ("reports", 10, False, 86400)
    stale = run_box(root, "features", "freshness", "--now", "2099-01-01")
    assert stale.returncode == ExitCode.DEGRADED
    assert "stale: reports" in stale.stderr


def test_the_list_says_what_is_declared_and_how_it_stands(root: Path) -> None:
    found = json.loads(run_box(root, "features", "list", "--json").stdout)
    (view,) = found["views"]
    assert view["features"] == [{"name": "wind", "type": "DOUBLE"}, {"name": "seen", "type": "INT64"}]
    assert view["keys"] == [{"name": "airport", "type": "INT64"}] and view["services"] == ["weather_v1"]
    assert (view["source"], view["rows"], view["stale"]) == (".box/data/reports.parquet", 10, False)
    assert found["last"]["materialized"]["rows"] == {"reports": 10} and found["last"]["applied"]["views"] == ["reports"]
    assert found["last"]["compacted"] is None and found["skew"] == {}
    assert "fresh" in run_box(root, "features", "list").stdout


def test_a_view_shows_how_its_values_are_distributed(root: Path) -> None:
    found = json.loads(run_box(root, "features", "show", "reports", "--json").stdout)
    assert (found["rows"], found["sampled"], found["keys"]) == (100, 100, ["airport"])
    assert list(found["example"]) == ["airport"] and found["example"]["airport"] in range(10)
    wind, seen = (feature["distribution"] for feature in found["features"])
    assert (wind["minimum"], wind["maximum"], wind["nulls"], wind["distinct"]) == (0.0, 909.0, 0, 100)
    assert sum(seen["histogram"]["counts"]) == 100 and seen["quantiles"]["0.5"] == 454.5
    part = json.loads(run_box(root, "features", "show", "reports", "wind", "--sample", "50", "--json").stdout)
    assert 0 < part["sampled"] < 100 and [feature["name"] for feature in part["features"]] == ["wind"]
    unknown = run_box(root, "features", "show", "reports", "winds")
    assert unknown.returncode == ExitCode.NOT_FOUND and "did you mean 'wind'" in unknown.stderr


def test_a_leak_is_exit_code_5_and_one_object(root: Path) -> None:
    import duckdb

    data = Paths(root).data
    rows = f"'{data}/reports.parquet'"
    decided = f"(select median(event_timestamp) from {rows}) as event_timestamp"
    made = f"select airport, {decided}, max(wind) as wind from {rows} group by airport"
    duckdb.sql(f"copy ({made}) to '{data}/set.parquet'")
    done = run_box(root, "features", "audit", "--json")
    assert done.returncode == ExitCode.GATE_REFUSED, done.stderr
    report = json.loads(done.stdout)
    assert report["schema_version"] == 1 and not report["passed"]
    assert [finding["column"] for finding in report["findings"]] == ["wind"]
    assert "REFUSED: 1 columns know the future: wind" in run_box(root, "logs", "audit").stdout
    last = json.loads(run_box(root, "features", "list", "--json").stdout)["last"]["audited"]
    assert last["findings"] == {"wind": "knows the future"} and not last["passed"]
    assert four_parts(done.stderr)


def test_nothing_to_merge_says_so(root: Path) -> None:
    done = run_box(root, "features", "compact")
    assert done.returncode == 0 and "no part files" in done.stderr
