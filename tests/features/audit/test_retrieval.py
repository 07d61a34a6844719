"""Sets that Feast's own join makes: the views' files are the sources, and no declaration is needed."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply
from boxplat.features.audit import Choice, Report, audit
from boxplat.features.audit.columns import of_service, undeclared
from boxplat.features.audit.report import ABSENT, OTHER
from boxplat.features.audit.retrieval import retrieval
from tests.features.conftest import paths  # noqa: F401

pytestmark = pytest.mark.integration


@pytest.fixture
def applied(state: StateStore, paths: Paths, config: Config) -> Paths:  # noqa: F811
    apply(state, paths, config, "test", lambda _: None)
    return paths


@pytest.fixture
def frame(applied: Paths, newest: float) -> Path:
    """An entity every 10 minutes of the reports' 9 hours, for airports 0 to 9 and one that is unknown."""
    file = applied.data / "flights.parquet"
    duckdb.sql(
        f"""copy (
          select i % 11 as airport, to_timestamp({newest} - i * 600) as decided, i % 2 as late, i as number
          from range(54) t(i)) to '{file}' (format parquet)"""
    )
    return file


def audited(paths: Paths, state: StateStore, config: Config, **choice: object) -> Report:  # noqa: F811
    return audit(state, paths, config, Choice(moments=4, **choice), "test", lambda _: None)  # type: ignore[arg-type]


def test_entities_alone_pass_and_a_table_with_newer_reports_is_refused(
    applied: Paths, state: StateStore, config: Config, frame: Path
) -> None:
    report = audited(applied, state, config, entities=str(frame), service="weather_v1", time="decided", label="late")
    assert report.passed, str(report)
    assert {"wind", "seen"} <= set(report.columns) and report.declared == "feature service weather_v1"
    assert [one.source for one in report.hidden] == ["reports"] and report.hidden[0].rows > 0
    assert all(control.fired for control in report.controls)

    # Each flight with the report of the hour that it is in, which comes after the decision.
    table = applied.data / "late.parquet"
    duckdb.sql(
        f"""copy (
          select f.airport, f.decided, f.late, r.wind, r.seen, f.number % 3 as gate
          from '{frame}' f left join '{applied.data}/reports.parquet' r
          on f.airport = r.airport and r.event_timestamp > f.decided
            and r.event_timestamp <= f.decided + interval 1 hour
        ) to '{table}' (format parquet)"""
    )
    report = audited(applied, state, config, table=str(table), service="weather_v1", time="decided", label="late")
    kinds = {one.column: one.kind for one in report.findings}
    assert kinds == {"wind": OTHER, "seen": OTHER, "gate": ABSENT}
    assert report.refusal().code == ExitCode.GATE_REFUSED


def test_names_that_a_service_declares(applied: Paths, config: Config) -> None:
    declared = of_service(applied, config, "weather_v1", lambda _: None)
    assert declared.features == {"wind", "seen", "reports__wind", "reports__seen"} and declared.keys == {"airport"}
    assert undeclared(["airport", "wind", "gusts", "knots"], declared, {"knots": "wind"}) == ["gusts"]
    (source,) = retrieval(applied, config, "weather_v1", True, lambda _: None).sources
    assert source.known == 'greatest("event_timestamp", "created")' and source.files == (
        applied.data / "reports.parquet",
    )
    with pytest.raises(BoxError, match="did you mean 'weather_v1'"):
        of_service(applied, config, "weather_v2", lambda _: None)
