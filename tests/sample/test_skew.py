"""A year of flights, replayed against the sample's endpoint: what was served is recomputed, or it is told why not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from flights import feature_rows, views
from flights.windows import Window, change_rows

from boxplat.core.config import Config, EndpointConfig
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply, materialize
from boxplat.features.skew import Report, skew
from boxplat.serving.log import reading
from tests.sample.conftest import Trained, wait_until
from tests.sample.test_endpoint import ask
from tests.serving.conftest import worker

pytestmark = pytest.mark.integration
MOMENTS = tuple(datetime(2013, month, 15, hour, tzinfo=UTC) for month, hour in ((2, 13), (5, 18), (8, 22), (12, 16)))
PER_MOMENT = 500


def silent(line: str) -> None:
    """Nobody looks at progress here."""


@dataclass(frozen=True)
class Replayed:
    """A copy of the project, whose log holds the flights of the day after each moment, as of that moment."""

    paths: Paths
    state: StateStore
    config: Config
    predictions: int

    def skew(self, **options: Any) -> Report:
        return skew(self.state, self.paths, self.config, "delay", "test", **options)


def flights(paths: Paths, moment: datetime) -> list[dict[str, Any]]:
    """Flights that leave within the day after a moment."""
    first = int((moment + timedelta(hours=1)).timestamp()) // 60
    rows = duckdb.execute(
        f"select carrier, flight, origin, dest, sched from '{paths.data}/features/flight_schedule.parquet' "
        "where sched between ? and ? order by hash(sched, carrier, flight) limit ?",
        [first, first + 22 * 60, PER_MOMENT],
    ).fetchall()
    names = ("carrier", "flight", "origin", "dest")
    return [
        {**dict(zip(names, row, strict=False)), "sched_dep": datetime.fromtimestamp(row[4] * 60, UTC).isoformat()}
        for row in rows
    ]


@pytest.fixture(scope="module")
def replayed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replayed]:
    root = tmp_path_factory.mktemp("replayed")
    for part in ("feature_repo", ".box/data/features", ".box/data/raw"):
        shutil.copytree(trained.sample.root / part, root / part)
    paths = Paths(root)
    config = Config(endpoints={"delay": EndpointConfig(bento="bentos/delay", feature_service="delay_v1")})
    state = StateStore.open(paths)
    apply(state, paths, config, "test", silent)
    environment = {
        "MLFLOW_TRACKING_URI": trained.sample.tracking_url,
        "BOXPLAT_FEATURE_REPO": str(root / "feature_repo"),
        "BOXPLAT_ENDPOINT": "delay",
        "BOXPLAT_RELEASE": "1",
    }
    log, scratch = paths.state / "predictions" / "delay", tmp_path_factory.mktemp("replay")
    service, count = trained.sample.root / "bentos" / "delay", 0
    materialize(state, paths, config, "2013-01-01", MOMENTS[0].isoformat(), "test", silent)
    with worker(service, "service:Delay", scratch / "own", "--log", str(log), **environment) as (url, _):
        for moment in MOMENTS:
            materialize(state, paths, config, None, moment.isoformat(), "test", silent)
            status, told = ask(url, {"flights": flights(paths, moment), "as_of": moment.isoformat()})
            assert status == 200, told
            count += len(told["predictions"])
        wait_until(lambda: _logged(log) == count, 120, lambda: f"{_logged(log)} of {count} predictions are logged")
    yield Replayed(paths, state, config, count)
    state.close()


def _logged(log: Path) -> int:
    return int(reading.query(log, "select count(*) as n from predictions").column("n")[0].as_py())


def test_what_was_served_is_what_is_recomputed(replayed: Replayed) -> None:
    report = replayed.skew()
    assert report.differences == () and report.passed, str(report)
    assert (report.predictions, report.features) == (replayed.predictions, 49)
    assert report.predictions > 1000 and report.unlogged == ()


def test_a_change_of_code_in_one_feature_is_found_and_named(replayed: Replayed) -> None:
    """The mean delay of the last hour's departures becomes their sum: same rows, same times, another value."""
    windows = [views._origin_departures(minutes) for minutes in (60, 120, 360)]
    changed = replace(windows[0], columns=(("origin_delay_60", "sum:delay"), *windows[0].columns[1:]))
    _rebuilt(replayed, "origin_ops", ("origin",), [changed, *windows[1:]])
    report = replayed.skew()
    _rebuilt(replayed, "origin_ops", ("origin",), windows)
    assert [one.feature for one in report.differences] == ["origin_ops__origin_delay_60"]
    assert [reason.cause for reason in report.differences[0].reasons] == ["code:rewritten"]
    assert report.differences[0].share > 0.5 and not report.passed
    assert replayed.skew().passed


def test_another_window_is_found_and_named(replayed: Replayed) -> None:
    """Twelve hours of a route become ten: other rows at other times."""
    ours = next(view for view in views.VIEWS if view.name == "route_ops")
    _rebuilt(replayed, "route_ops", ours.keys, [views._mean_delay("departures", 600, "route_delay_720")])
    report = replayed.skew()
    _rebuilt(replayed, "route_ops", ours.keys, [views._mean_delay("departures", 720, "route_delay_720")])
    assert [one.feature for one in report.differences] == ["route_ops__route_delay_720"]
    # A row that only the new code makes looks like one that was there and not served.
    reasons = {reason.cause: reason.count for reason in report.differences[0].reasons}
    code = sum(count for cause, count in reasons.items() if cause.startswith("code:"))
    assert code > sum(reasons.values()) / 2, reasons


def _rebuilt(replayed: Replayed, name: str, keys: tuple[str, ...], windows: list[Window]) -> None:
    """The rows of a view, made by other code."""
    view = next(view for view in views.VIEWS if view.name == name)
    folder = replayed.paths.data
    feature_rows.write(folder / "raw", folder / "features", [replace(view, sql=change_rows(keys, windows))])
