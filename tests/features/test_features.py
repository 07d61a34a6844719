"""The stock Feast stores behind `box features`, and what a user is told when a repository is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from boxplat.core.config import Config, FeaturesConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply, get, materialize, views
from boxplat.features.distribution import show
from boxplat.features.listing import listing

from .conftest import DEFINITIONS, write_rows

Told = list[str]


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def applied(state: StateStore, paths: Paths, config: Config, told: Told) -> Paths:
    assert apply(state, paths, config, "test", told.append) == ["reports"]
    return paths


def test_from_definitions_to_a_row_with_its_age(
    state: StateStore, applied: Paths, config: Config, told: Told, newest: float, capfd: pytest.CaptureFixture[str]
) -> None:
    """The newest row of every entity, its own age, and nothing on the terminal but what was told."""
    before = (Path.cwd(), list(sys.path), dict(os.environ), sys.dont_write_bytecode)
    with warnings.catch_warnings(record=True) as seen:
        assert materialize(state, applied, config, None, None, "test", told.append) == {"reports": 10}
        rows = get(applied, config, "weather_v1", [{"airport": 3}, {"airport": 77}])
    assert rows[0]["keys"] == {"airport": 3}
    assert rows[0]["features"] == {"reports__wind": 309.0, "reports__seen": 309}
    assert rows[0]["age_seconds"]["reports"] == pytest.approx(time.time() - newest, abs=30)
    assert rows[1]["features"] == {"reports__wind": None, "reports__seen": None}
    assert rows[1]["age_seconds"] == {"reports": None}
    assert (Path.cwd(), list(sys.path), dict(os.environ), sys.dont_write_bytecode) == before
    assert capfd.readouterr() == ("", "") and seen == []
    assert "materialized reports: 10 rows" in told and any("feature view" in line for line in told)


@pytest.mark.integration
def test_command_is_quiet_to_its_end(paths: Paths) -> None:
    """Libraries print at interpreter exit too (DuckDB's bindings complain of a connection that Ibis still holds)."""
    for verb in (["apply"], ["materialize", "--json"]):
        command = [sys.executable, "-m", "boxplat", "features", *verb]
        done = subprocess.run(command, cwd=paths.root, capture_output=True, text=True, check=True)
        assert "nanobind" not in done.stderr and "Warning" not in done.stderr
    assert json.loads(done.stdout)["rows"] == {"reports": 10}


def test_events_say_what_was_done(state: StateStore, applied: Paths, config: Config, told: Told) -> None:
    materialize(state, applied, config, None, None, "test", told.append)
    done = {event.kind: event.data for event in state.events.all(subject="features")}
    assert done["features.applied"]["views"] == ["reports"] and done["features.applied"]["services"] == ["weather_v1"]
    assert done["features.materialized"]["rows"] == {"reports": 10}
    assert all(data["by"] == "test" and data["seconds"] > 0 for data in done.values())


def test_time_range_and_going_on(state: StateStore, applied: Paths, config: Config, told: Told, newest: float) -> None:
    """A range loads the newest rows inside it; the next time goes on where the last one ended."""

    def load(start: str | None, end: str | None) -> dict[str, int]:
        return materialize(state, applied, config, start, end, "test", told.append)

    def wind() -> float:
        return get(applied, config, "reports:wind", [{"airport": 2}])[0]["features"]["reports__wind"]

    assert load(iso(newest - 9.5 * 3600), iso(newest - 3.5 * 3600)) == {"reports": 10} and wind() == 205.0
    assert load(None, iso(newest - 3.5 * 3600)) == {"reports": 0} and wind() == 205.0
    assert load(None, None) == {"reports": 10} and wind() == 209.0
    assert views(applied, config)[0]["materialized_until"] is not None


def test_first_time_begins_with_the_first_row(state: StateStore, applied: Paths, config: Config, told: Told) -> None:
    """Rows older than the TTL are loaded too: Feast's incremental form would silently load none of a past year."""
    write_rows(applied, datetime(2013, 6, 1, tzinfo=UTC).timestamp())
    assert materialize(state, applied, config, None, None, "test", told.append) == {"reports": 10}
    age = get(applied, config, "weather_v1", [{"airport": 1}])[0]["age_seconds"]["reports"]
    assert age == pytest.approx(time.time() - datetime(2013, 6, 1, tzinfo=UTC).timestamp(), abs=60)


def test_views_are_listed(applied: Paths, config: Config) -> None:
    found = views(applied, config)
    assert [(view["name"], view["keys"], view["ttl_seconds"]) for view in found] == [("reports", ["airport"], 86400.0)]
    assert sorted(found[0]["features"]) == ["seen", "wind"] and found[0]["materialized_until"] is None


def test_an_edit_is_seen_at_once(state: StateStore, applied: Paths, config: Config, told: Told) -> None:
    """Same length, same second: neither sys.modules nor cached byte code may stand in for the file."""
    source = applied.root / "feature_repo" / "weather.py"
    source.write_text(DEFINITIONS.replace('name="reports",', 'name="rapport",'))
    assert apply(state, applied, config, "test", told.append) == ["rapport"]
    assert [view["name"] for view in views(applied, config)] == ["rapport"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (DEFINITIONS + "\nfor", 24, "SyntaxError"),
        (DEFINITIONS.replace("ValueType.INT64", "ValueType.INT65"), 8, "INT65"),
        (DEFINITIONS.replace("from datetime", "import no_such_module\nfrom datetime"), 3, "no_such_module"),
        (DEFINITIONS.replace("entities=[airport]", "entities=airport"), 15, "Entity"),
        (DEFINITIONS + "\nraise SystemError('told off')", 24, "told off"),
    ],
)
def test_definitions_that_do_not_parse(
    state: StateStore, applied: Paths, config: Config, told: Told, text: str, line: int, words: str
) -> None:
    (applied.root / "feature_repo" / "weather.py").write_text(text)
    with pytest.raises(BoxError, match="does not parse") as caught:
        apply(state, applied, config, "test", told.append)
    assert caught.value.code is ExitCode.USAGE
    assert f"weather.py:{line}" in caught.value.why and words in caught.value.why
    assert [view["name"] for view in views(applied, config)] == ["reports"]


@pytest.mark.parametrize(
    "text", ["project: [", "project: tiny\nonline_store: 7\n", "provider: local\n", "project: t\nnonsense: 1\n"]
)
def test_settings_that_do_not_parse(state: StateStore, paths: Paths, config: Config, told: Told, text: str) -> None:
    (paths.root / "feature_repo" / "feature_store.yaml").write_text(text)
    with pytest.raises(BoxError, match=r"feature_store\.yaml") as caught:
        apply(state, paths, config, "test", told.append)
    assert caught.value.code is ExitCode.USAGE


def test_other_project_name(state: StateStore, paths: Paths, config: Config, told: Told) -> None:
    with (paths.root / "feature_repo" / "weather.py").open("a") as file:
        file.write("\nfrom feast import Project\n\nproject = Project(name='huge')\n")
    with pytest.raises(BoxError, match="defines project 'huge'"):
        apply(state, paths, config, "test", told.append)


def test_source_that_is_not_there(state: StateStore, paths: Paths, config: Config, told: Told) -> None:
    (paths.data / "reports.parquet").unlink()
    with pytest.raises(BoxError) as caught:
        apply(state, paths, config, "test", told.append)
        materialize(state, paths, config, None, None, "test", told.append)
    assert "reports.parquet" in caught.value.why and "run the flow" in caught.value.fix
    assert caught.value.code is ExitCode.FAILED


def test_no_repository(state: StateStore, paths: Paths, told: Told) -> None:
    with pytest.raises(BoxError) as caught:
        apply(state, paths, Config(features=FeaturesConfig(repo="elsewhere")), "test", told.append)
    assert caught.value.code is ExitCode.NOT_FOUND and "feature_store.yaml" in caught.value.why


def test_nothing_applied(state: StateStore, paths: Paths, config: Config, told: Told) -> None:
    with pytest.raises(BoxError) as caught:
        materialize(state, paths, config, None, None, "test", told.append)
    assert caught.value.fix == "box features apply" and caught.value.code is ExitCode.NOT_FOUND
    assert [event.kind for event in state.events.all(subject="features")] == []


@pytest.mark.parametrize(
    ("service", "keys", "code", "words"),
    [
        ("weather_v2", [{"airport": 1}], ExitCode.NOT_FOUND, "did you mean 'weather_v1'"),
        ("report:wind", [{"airport": 1}], ExitCode.NOT_FOUND, "did you mean 'reports'"),
        ("reports:wnd", [{"airport": 1}], ExitCode.NOT_FOUND, "did you mean 'wind'"),
        ("weather_v1", [], ExitCode.USAGE, "no entity keys"),
        ("weather_v1", [7], ExitCode.USAGE, "no entity keys"),
        ("weather_v1", [{"harbour": 1}], ExitCode.USAGE, "cannot read weather_v1"),
        ("weather_v1", [{"airport": "JFK"}], ExitCode.USAGE, "cannot read weather_v1"),
        ("weather_v1", [{"airport": 1}, {}], ExitCode.USAGE, "different keys"),
    ],
)
def test_reading_what_is_not_there(
    applied: Paths, config: Config, service: str, keys: list[dict[str, object]], code: ExitCode, words: str
) -> None:
    with pytest.raises(BoxError) as caught:
        get(applied, config, service, keys)
    assert caught.value.code is code and words in caught.value.what


@pytest.mark.parametrize(("start", "end"), [("yesterday", None), (None, "2013-13-01"), ("2013-02-01", "2013-01-01")])
def test_times_that_are_none(
    state: StateStore, paths: Paths, config: Config, told: Told, start: str | None, end: str | None
) -> None:
    with pytest.raises(BoxError) as caught:
        materialize(state, paths, config, start, end, "test", told.append)
    assert caught.value.code is ExitCode.USAGE


def test_what_is_declared_is_known_with_other_stores_too(
    state: StateStore, applied: Paths, config: Config, told: Told
) -> None:
    """Feast's own stores tell no freshness; views, sources and values can be looked at all the same."""
    materialize(state, applied, config, None, None, "test", told.append)
    (view,) = listing(state, applied, config)["views"]
    assert (view["view"], view["online"], view["source"]) == ("reports", None, ".box/data/reports.parquet")
    (wind,) = show(applied, config, "reports", ["wind"]).features
    assert wind.distribution is not None and wind.distribution.maximum == 909.0
    assert get(applied, config, "reports", [{"airport": 3}])[0]["features"]["reports__wind"] == 309.0
