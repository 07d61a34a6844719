"""`box features audit` on the real data: the sample's own set passes, the popular one and subtle leaks are refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from flights import popular
from flights.training_set import NUMERIC

from boxplat.core.config import load
from boxplat.core.errors import ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.audit import Choice, Report, audit
from boxplat.features.audit.report import FUTURE
from tests.sample.conftest import ROOT, Sample, environment

pytestmark = pytest.mark.integration
Audited = Callable[..., Report]


@pytest.fixture
def audited(featured: Sample) -> Iterator[Audited]:
    shutil.copy(ROOT / "boxplat.toml", featured.root / "boxplat.toml")
    paths = Paths(featured.root)
    paths.create()
    state = StateStore.open(paths)

    def run(**choice: Any) -> Report:
        return audit(state, paths, load(paths.config, {}), Choice(**choice), "test", lambda _: None)

    yield run
    state.close()


def test_the_own_training_set_passes(audited: Audited) -> None:
    """Nothing known after T is used: no value changes when the future is hidden, and every control fires."""
    report = audited(moments=6)
    assert report.passed, str(report)
    assert report.moments == 6 and report.rows >= 6 and set(NUMERIC) <= set(report.columns)
    assert [control.fired for control in report.controls] == [True, True, True]
    assert {one.source for one in report.hidden if one.rows} == {"flight", "weather"}
    assert report.split is not None and report.split.metric == "AUC"
    assert 0.70 < report.split.chronological < report.split.random < 0.85


def test_the_popular_columns_are_refused(featured: Sample, audited: Audited) -> None:
    """The tutorials' set: AUC above 0.9 with the flight's own departure, and weather of an hour that is not over."""
    table = featured.data / "training" / "popular.parquet"
    pq.write_table(popular.build(featured.data / "raw"), table)
    report = audited(table=str(table), build="flights.popular:build", moments=5)
    future = {one.column: one for one in report.findings if one.kind == FUTURE}
    assert {"dep_time", "dep_delay", "air_time", "temp", "precip", "visib"} <= set(future)
    assert not {"distance", "dow", "month", "carrier", "origin", "dest", "hour"} & set(future)
    assert report.findings[0].column == "dep_delay" and (future["dep_delay"].auc or 0) > 0.9
    assert future["dep_delay"].share > 0.9 and all(one.honest is None for one in future["dep_delay"].examples)
    assert report.split is not None and report.split.random > 0.93
    refusal = report.refusal()
    assert refusal.code == ExitCode.GATE_REFUSED and "know the future: dep_delay" in refusal.why


EARLY = """
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from flights import audited, events, raw

events.SOURCES["departures"] = events.SOURCES["departures"].replace("dep as ts", "dep - 30 as ts")
attach = raw.attach


def early(con, folder):
    attach(con, folder)
    con.execute("update weather set ts = ts - 60")


raw.attach = early
build = audited.training_rows
if __name__ == "__main__":
    pq.write_table(build(Path(sys.argv[1]), pa.table({"id": list(range(1, 330_000, 900))})), sys.argv[2])
"""


def test_facts_that_count_before_they_happen_are_noticed(featured: Sample, audited: Audited, tmp_path: Path) -> None:
    """Leaks inside the code that makes the features, not in the choice of columns: departures half an hour early, and
    weather as of its stamp. Columns made of other facts stay clean."""
    code, table = featured.root / "flows" / "early.py", featured.data / "training" / "early.parquet"
    code.write_text(EARLY)
    shutil.copytree(ROOT / "feature_repo", tmp_path / "feature_repo")
    argv = [sys.executable, str(code), str(featured.data / "raw"), str(table)]
    # Rows, registry and online store of its own: the code writes what it joins.
    subprocess.run(argv, cwd=tmp_path, env=environment(), check=True)
    report = audited(table=str(table), build="early:build", moments=2)
    future = {one.column for one in report.findings if one.kind == FUTURE}
    assert any(name.startswith("origin_delay_") for name in future) and "origin_departures_60" in future
    assert {"temp", "humid"} & future
    assert not {name for name in future if "arrival" in name or "waiting" in name or "late_14d" in name}
