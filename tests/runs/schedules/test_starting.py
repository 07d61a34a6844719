"""Flows that start by themselves: at times, with events and with the end of other flows, each once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from boxplat.core.config import Config, ScheduleConfig, StartsConfig
from boxplat.core.errors import BoxError
from boxplat.core.model import RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.schedules import listed, pause, publish, refused, run_now
from boxplat.supervisor.timetable import Timetable
from tests.runs.schedules.conftest import Clock, Desk

HOUR, DAY = 3600.0, 86400.0


def say(desk: Desk, name: str, **payload: object) -> list[str]:
    waiting = publish(desk.state, desk.paths, name, payload, "test")
    desk.tick()
    return waiting


# -- times ------------------------------------------------------------------------------------------------------------


def test_nothing_is_made_up_for_from_before_a_flow_was_seen(desk: Desk) -> None:
    desk.clock.now += 10 * HOUR
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.up()
    assert not desk.runs()
    desk.tick(HOUR)
    assert [run.options["due"] for run in desk.runs()] == [desk.clock.now - desk.clock.now % HOUR]


@pytest.mark.parametrize(("missed", "started"), [("last", 1), ("skip", 0), ("all", 8)])
def test_a_missed_night(desk: Desk, missed: str, started: int) -> None:
    desk.settings(AFlow=StartsConfig(missed=missed))
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.up()
    desk.clock.now += 8 * HOUR + 600
    desk.up()
    for _ in range(20):
        desk.tick(1)
        desk.finish()
    dues = [run.options["due"] for run in desk.runs()]
    assert len(dues) == started
    assert dues == sorted(dues) and dues[-1:] == [desk.clock.now // HOUR * HOUR][:started]
    # The next hour is on time, whatever became of the night.
    desk.tick(HOUR - desk.clock.now % HOUR)
    assert len(desk.runs()) == started + 1


def test_two_supervisors_in_succession_never_start_a_time_twice(desk: Desk) -> None:
    """The second one reads the state of before: the time and its run are one transaction."""
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.up()
    first = desk.timetable
    second = Timetable(StateStore.open(desk.paths), desk.paths, desk.config, desk.clock)
    second.tick()
    desk.clock.now += HOUR
    rows = desk.state.schedules.all()
    second.tick()
    desk.finish()
    assert first is not None
    # The first one still believes what it has read before.
    first._rows, first._next, first._version = rows, {"flows/aflow.py": 0.0}, first._state.database.version()
    first.tick()
    assert len(desk.runs()) == 1


def test_a_clock_set_back_repeats_nothing_and_does_not_stop_the_times(desk: Desk) -> None:
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.up()
    desk.tick(HOUR)
    desk.finish()
    desk.tick(-30 * 60)
    desk.tick(30 * 60)
    assert len(desk.runs()) == 1
    # A year too far for a moment, and back.
    desk.tick(365 * DAY)
    desk.finish()
    desk.tick(-365 * DAY)
    desk.tick(HOUR)
    assert [run.options["due"] for run in desk.runs()][-1] == desk.clock.now // HOUR * HOUR
    assert len(desk.runs()) == 3


@pytest.mark.parametrize("missed", ["last", "skip", "all"])
def test_a_decided_time_that_comes_again_late_is_passed_over(desk: Desk, missed: str) -> None:
    """Set back half an hour and an hour forward again: the full hour between was met before."""
    desk.settings(AFlow=StartsConfig(missed=missed))
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.up()
    desk.tick(HOUR)
    desk.finish()
    desk.tick(-30 * 60)
    desk.tick(HOUR)
    assert len(desk.runs()) == 1
    desk.tick(HOUR / 2)
    assert len(desk.runs()) == 2


def test_no_overlap_unless_asked(desk: Desk) -> None:
    desk.settings(BFlow=StartsConfig(overlap=True))
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.flow("BFlow", "@schedule(hourly=True)")
    desk.up()
    desk.tick(HOUR)
    desk.tick(HOUR)
    assert sorted(run.name for run in desk.runs()) == ["AFlow", "BFlow", "BFlow"]
    (skipped,) = desk.told("schedule.skipped")
    assert skipped["flow"] == "flows/aflow.py" and "is not over" in str(skipped["why"])


def test_a_paused_flow_rests_and_nothing_is_made_up_for(desk: Desk) -> None:
    desk.flow("AFlow", "@schedule(hourly=True)\n@trigger(event='x')")
    desk.up()
    pause(desk.state, desk.paths, "AFlow", True, "test")
    desk.tick(5 * HOUR)
    say(desk, "x")
    pause(desk.state, desk.paths, "flows/aflow.py", False, "test")
    # The verb wrote the time of the machine, which is not the one of this test.
    desk.state.schedules.pause("flows/aflow.py", False, desk.clock.now, "test")
    desk.tick()
    assert not desk.runs()
    desk.tick(HOUR)
    assert len(desk.runs()) == 1


def test_switched_off_and_on_again_counts_anew(desk: Desk) -> None:
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.up()
    desk.config = Config(schedule=ScheduleConfig(enabled=False))
    desk.up()
    desk.tick(5 * HOUR)
    assert not desk.runs()
    assert [row.state for row in listed(desk.state, desk.paths, desk.config)] == ["off"]
    desk.config = Config()
    desk.up()
    desk.tick(10)
    assert not desk.runs()


def test_not_before_another_flow_has_succeeded(desk: Desk) -> None:
    desk.settings(AFlow=StartsConfig(after=("IngestFlow",)))
    desk.flow("AFlow", "@schedule(hourly=True)")
    ingest = desk.flow("IngestFlow")
    desk.up()
    desk.tick(HOUR)
    assert not desk.runs() and "IngestFlow" in str(desk.told("schedule.skipped")[0]["why"])
    desk.state.runs.add(ingest, "IngestFlow", {})
    desk.finish()
    desk.tick(HOUR)
    assert [run.name for run in desk.runs()] == ["IngestFlow", "AFlow"]


# -- events -----------------------------------------------------------------------------------------------------------


def test_a_payload_becomes_parameters_once(desk: Desk) -> None:
    desk.flow("AFlow", "@trigger(event={'name': 'data.ready', 'parameters': {'day': 'when', 'rows': 'n'}})")
    desk.flow("BFlow", "@trigger(event='data.ready')")
    desk.up()
    assert say(desk, "data.ready", when="2026-03-01", n=7, day="other", more=[1]) == ["AFlow", "BFlow"]
    desk.tick()
    desk.up()
    params = {run.name: dict(run.params) for run in desk.runs()}
    assert params == {"AFlow": {"day": "2026-03-01", "rows": "7"}, "BFlow": {"day": "other"}}
    assert len(desk.runs()) == 2
    (trigger,) = desk.runs()[0].options["trigger"]
    assert (trigger["name"], trigger["type"]) == ("data.ready", "event")


def test_several_events_are_all_needed_and_each_round_needs_new_ones(desk: Desk) -> None:
    desk.flow("AFlow", "@trigger(events=[{'name': 'a', 'parameters': {'day': 'd'}}, {'name': 'b'}])")
    desk.up()
    say(desk, "a", d="1")
    say(desk, "a", d="2")
    assert not desk.runs()
    say(desk, "b")
    desk.finish()
    assert [dict(run.params) for run in desk.runs()] == [{"day": "2"}]
    say(desk, "b")
    assert len(desk.runs()) == 1
    say(desk, "a")
    assert len(desk.runs()) == 2


def test_what_has_come_is_forgotten_when_asked(desk: Desk) -> None:
    desk.clock.now = time.time()
    desk.flow("AFlow", "@trigger(events=['a', 'b'], options={'reset_at': {'cron': '0 0 * * *'}})")
    desk.up()
    say(desk, "a")
    desk.tick(DAY)
    say(desk, "b")
    assert not desk.runs()
    # Both are younger than the midnight that this clock has seen last.
    desk.clock.now = time.time()
    say(desk, "a")
    assert len(desk.runs()) == 1


def test_events_during_a_run_make_one_more_with_the_last_payload(desk: Desk) -> None:
    desk.flow("AFlow", "@trigger(event={'name': 'x', 'parameters': {'day': 'd'}})")
    desk.settings(BFlow=StartsConfig(overlap=True))
    desk.flow("BFlow", "@trigger(event={'name': 'x', 'parameters': {'day': 'd'}})")
    desk.up()
    for number in range(4):
        publish(desk.state, desk.paths, "x", {"d": str(number)}, "test")
        if not number:
            desk.tick()
    desk.tick()
    by = {name: [run.params["day"] for run in desk.runs() if run.name == name] for name in ("AFlow", "BFlow")}
    assert by == {"AFlow": ["0"], "BFlow": ["0", "1", "2", "3"]}
    desk.finish()
    desk.tick()
    assert [run.params["day"] for run in desk.runs() if run.name == "AFlow"] == ["0", "3"]


@pytest.mark.parametrize(("missed", "started"), [("last", 1), ("skip", 0)])
def test_events_while_the_box_did_not_run(desk: Desk, missed: str, started: int) -> None:
    desk.clock.now = time.time()
    desk.settings(AFlow=StartsConfig(missed=missed))
    desk.flow("AFlow", "@trigger(event='x')")
    desk.up()
    for _ in range(3):
        publish(desk.state, desk.paths, "x", {}, "test")
    desk.clock.now += HOUR
    desk.up()
    desk.finish()
    desk.tick()
    assert len(desk.runs()) == started


def test_the_end_of_one_flow_starts_the_next(desk: Desk) -> None:
    desk.flow("IngestFlow", "@schedule(hourly=True)")
    desk.flow("FeatureFlow", "@trigger_on_finish(flow='IngestFlow')")
    desk.flow("TrainFlow", "@trigger(event='run.succeeded.FeatureFlow')")
    desk.flow("AlarmFlow", "@trigger(event='run.failed')")
    desk.up()
    desk.tick(HOUR)
    for _ in range(3):
        desk.finish()
        desk.tick()
    assert [run.name for run in desk.runs()] == ["IngestFlow", "FeatureFlow", "TrainFlow"]
    feature = desk.runs()[1]
    (trigger,) = feature.options["trigger"]
    assert trigger["id"].startswith("IngestFlow/1001/") and trigger["type"] == "run"
    desk.tick(HOUR)
    desk.finish(RunState.FAILED)
    desk.tick()
    assert [run.name for run in desk.runs()][3:] == ["IngestFlow", "AlarmFlow"]


def test_boxplats_own_events(desk: Desk) -> None:
    desk.flow("AFlow", "@trigger(event='features.materialized')")
    desk.flow("BFlow", "@trigger(event='model.promoted.delay')")
    desk.flow("CFlow", "@trigger(event={'name': 'release.live.delay', 'parameters': {'rows': 'number'}})")
    desk.up()
    events = desk.state.events
    events.append("features", "features.materialized", {"rows": {"v": 0}, "failed": ["v"]})
    events.append("model/other", "model.promoted", {"version": 1})
    desk.tick()
    assert not desk.runs()
    events.append("features", "features.materialized", {"rows": {"v": 3}, "failed": []})
    events.append("model/delay", "model.promoted", {"version": 2})
    events.append("delay", "release.live", {"number": 7})
    desk.tick()
    assert [(run.name, dict(run.params)) for run in desk.runs()] == [
        ("AFlow", {}), ("BFlow", {}), ("CFlow", {"rows": "7"}),
    ]  # fmt: skip


# -- what cannot work -------------------------------------------------------------------------------------------------


def test_one_broken_flow_stops_no_other_and_works_when_it_is_mended(desk: Desk) -> None:
    desk.flow("GoodFlow", "@schedule(hourly=True)")
    bad = desk.flow("BadFlow", "@schedule(cron='0 9 * * 7')")
    (desk.paths.root / "flows" / "broken.py").write_text("from metaflow import FlowSpec, schedule\nclass A(FlowSpec:\n")
    (desk.paths.root / "flows" / "helper.py").write_text("# a FlowSpec with a schedule is elsewhere\n")
    desk.up()
    refused = {event["flow"]: str(event["why"]) for event in desk.told("schedule.refused")}
    assert refused.keys() == {bad, "flows/broken.py"} and "Sunday is 0" in refused[bad]
    desk.tick(HOUR)
    assert [run.name for run in desk.runs()] == ["GoodFlow"]
    rows = {row.flow: row for row in listed(desk.state, desk.paths, desk.config)}
    problem = rows[bad].problem
    assert rows[bad].state == "refused" and problem is not None
    assert {"error", "why", "fix", "log"} <= problem.keys() and problem["fix"]
    desk.finish()
    desk.flow("BadFlow", "@schedule(cron='0 * * * *')")
    desk.changed()
    desk.tick(HOUR)
    assert [run.name for run in desk.runs()][1:] == ["BadFlow", "GoodFlow"]


@pytest.mark.parametrize(
    ("decorator", "words"),
    [
        ("@trigger(event='features.materialised')", "did you mean 'features.materialized'"),
        ("@trigger(event='run.succeeded.NoFlow')", "no flow of this project is called 'NoFlow'"),
        ("@trigger_on_finish(flow='OtherFlo')", "did you mean 'OtherFlow'"),
        ("@trigger_on_finish(flow='SomeFlow')", "SomeFlow → SomeFlow"),
    ],
)
def test_unknown_events_and_flows(desk: Desk, decorator: str, words: str) -> None:
    some = desk.flow("SomeFlow", decorator)
    desk.flow("OtherFlow", "@schedule")
    desk.up()
    rows = {row.flow: row for row in listed(desk.state, desk.paths, desk.config)}
    assert rows[some].state == "refused" and words in str(rows[some].problem)
    assert rows["flows/otherflow.py"].state == "on"


def test_a_circle_in_the_files_is_refused_for_all_in_it(desk: Desk) -> None:
    desk.flow("AFlow", "@trigger_on_finish(flow='CFlow')")
    desk.flow("BFlow", "@trigger(event='metaflow.AFlow.end')")
    desk.flow("CFlow", "@trigger(event='run.succeeded.BFlow')")
    desk.flow("DFlow", "@trigger_on_finish(flow='CFlow')")
    desk.up()
    rows = {row.name: row for row in listed(desk.state, desk.paths, desk.config)}
    assert [name for name, row in rows.items() if row.problem] == ["AFlow", "BFlow", "CFlow"]
    assert "AFlow → BFlow → CFlow → AFlow" in str(rows["AFlow"].problem)


def test_a_second_flow_of_the_same_name_hides_no_circle(desk: Desk) -> None:
    desk.flow("AFlow", "@trigger_on_finish(flow='BFlow')")
    desk.flow("BFlow", "@trigger_on_finish(flow='AFlow')")
    flows = desk.paths.root / "flows"
    (flows / "zz.py").write_text((flows / "aflow.py").read_text().replace("@trigger_on_finish(flow='BFlow')", ""))
    desk.up()
    rows = {row.flow: row for row in listed(desk.state, desk.paths, desk.config)}
    assert rows["flows/aflow.py"].state == rows["flows/bflow.py"].state == "refused"


def test_a_file_that_python_itself_gives_up_on_stops_no_other(desk: Desk) -> None:
    desk.flow("AFlow", "@schedule(hourly=True)")
    broken = desk.paths.root / "flows" / "deep.py"
    broken.write_text("from metaflow import FlowSpec, schedule\nX = " + " + ".join(["1"] * 20_000) + "\n")
    desk.up()
    desk.tick(3600)
    assert [run.name for run in desk.runs()] == ["AFlow"]


def test_a_circle_by_events_that_flows_publish_is_seen_when_it_closes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.flow("AFlow", "@trigger(event='ping')")
    desk.flow("BFlow", "@trigger(event='pong')")
    desk.up()
    say(desk, "ping")
    (first,) = desk.runs()
    monkeypatch.setenv("BOXPLAT_RUN_ID", str(first.id))
    say(desk, "pong")
    second = desk.runs()[1]
    desk.finish()
    monkeypatch.setenv("BOXPLAT_RUN_ID", str(second.id))
    say(desk, "ping")
    monkeypatch.delenv("BOXPLAT_RUN_ID")
    assert [run.name for run in desk.runs()] == ["AFlow", "BFlow"]
    assert "AFlow (run 1) → BFlow (run 2) → AFlow" in str(desk.told("schedule.skipped")[0]["why"])
    # Somebody who is no flow may go on.
    say(desk, "ping")
    assert [run.name for run in desk.runs()] == ["AFlow", "BFlow", "AFlow"]


def test_a_run_that_cannot_be_queued_is_told_once(desk: Desk) -> None:
    """The file asks for more than any machine has: the time is decided, and the other flow starts."""
    path = desk.paths.root / desk.flow("AFlow", "@schedule(hourly=True)")
    path.write_text(
        path.read_text()
        .replace("    @step\n    def start", "    @resources(memory=10**9)\n    @step\n    def start")
        .replace("import FlowSpec,", "import FlowSpec, resources,")
        .replace("10**9", "1000000000")
    )
    desk.flow("BFlow", "@schedule(hourly=True)")
    desk.up()
    desk.tick(HOUR)
    desk.tick(1)
    desk.tick(1)
    assert [run.name for run in desk.runs()] == ["BFlow"]
    assert len(desk.told("schedule.skipped")) == 1


@pytest.mark.parametrize("name", ["run.succeeded", "features.mine", "metaflow.AFlow.end", "two words", ""])
def test_names_that_are_not_yours(desk: Desk, name: str) -> None:
    with pytest.raises(BoxError, match="no name for an event") as caught:
        publish(desk.state, desk.paths, name, {}, "test")
    assert caught.value.why and caught.value.fix


def test_run_now_takes_what_starts_by_itself(desk: Desk) -> None:
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.flow("PlainFlow")
    assert run_now(desk.state, desk.paths, desk.config, "AFlow", "test").name == "AFlow"
    with pytest.raises(BoxError, match="no flow that starts by itself"):
        run_now(desk.state, desk.paths, desk.config, "PlainFlow", "test")


def test_files_are_read_again_only_when_they_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxplat.adapters import schedules
    from boxplat.runs.schedules.files import Files

    desk.flow("AFlow", "@schedule(hourly=True)")
    (desk.paths.root / "tests").mkdir()
    (desk.paths.root / "tests" / "t.py").write_text((desk.paths.root / "flows" / "aflow.py").read_text())
    files = Files(desk.paths.root)
    found = files.look()
    assert list(found) == ["flows/aflow.py"]
    monkeypatch.setattr(schedules, "read", lambda path: pytest.fail(f"{path} was read again"))
    assert files.look() is found
    (desk.paths.root / "flows" / "aflow.py").unlink()
    assert files.look() == {}


def test_an_idle_timetable_costs_next_to_nothing(tmp_path: Path) -> None:
    """No file and no table is read while nothing changes: a tick asks the database's version and the clock."""
    state = StateStore.open(Paths(tmp_path))
    timetable = Timetable(state, Paths(tmp_path), Config(), Clock(0.0))
    timetable.tick()
    asked: list[str] = []
    connection = state.database._connect()
    connection.set_trace_callback(asked.append)
    timetable.tick()
    timetable.tick()
    connection.set_trace_callback(None)
    state.close()
    assert asked == ["pragma data_version"] * 2


def test_settings_for_flows_that_are_not_there(desk: Desk) -> None:
    desk.flow("NightFlow", "@schedule")
    config = Config(schedules={"NightFlo": StartsConfig(), "NightFlow": StartsConfig(after=("IngestFlo",))})
    errors = refused(desk.paths, config)
    assert [error.what.partition(" in ")[0] for error in errors] == ["schedules.NightFlo", "schedules.NightFlow.after"]
    assert "did you mean 'NightFlow'" in errors[0].what and all(error.fix and error.why for error in errors)


def test_a_time_and_its_run_are_written_together_or_not_at_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that dies between the two leaves neither, and the next one starts the flow once."""
    from boxplat.runs.schedules import firing

    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.flow("BFlow", "@trigger(event='x')")
    desk.up()
    publish(desk.state, desk.paths, "x", {}, "test")
    desk.clock.now += HOUR

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(firing, "decide", dies)
        patch.setattr(firing, "use", dies)
        with pytest.raises(KeyboardInterrupt):
            desk.tick()
    assert not desk.runs() and not desk.told("run.queued")
    desk.up()
    desk.tick()
    assert sorted(run.name for run in desk.runs()) == ["AFlow", "BFlow"]


def test_a_flow_whose_files_cannot_be_read_stops_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxplat.runs.schedules import firing

    real = firing.start

    def start(state: StateStore, paths: Paths, config: Config, flow: str, *rest: object, **more: object) -> object:
        if flow == "flows/aflow.py":
            raise PermissionError(13, "Permission denied", flow)
        return real(state, paths, config, flow, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(firing, "start", start)
    desk.flow("AFlow", "@schedule(hourly=True)")
    desk.flow("BFlow", "@schedule(hourly=True)")
    desk.up()
    desk.tick(HOUR)
    assert [run.name for run in desk.runs()] == ["BFlow"]
    assert "Permission denied" in str(desk.told("schedule.skipped")[0]["why"])
