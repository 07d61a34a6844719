"""Each screen shows its data, at 80 x 24 and at 140 x 40, and goes where its keys say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from boxplat.core.model import RunState, State
from boxplat_tui.app import BoxApp
from boxplat_tui.frame import text_of
from boxplat_tui.screens.logs import LogScreen
from boxplat_tui.screens.runs import RunScreen
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.table import LiveTable
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until
from tests.tui.demo import NOW, busy, empty

pytestmark = pytest.mark.anyio
SIZES = [(80, 24), (140, 40)]


def table(app: BoxApp, name: str) -> LiveTable:
    return app.screen.query_one(f"#{name} LiveTable", LiveTable)


SEEN = {
    "1": ["box logs 13", "GPU 0 H200", "tracking", "● running", "delay #7 90 %", "TrainFlow", "run.started"],
    "2": ["14", "TrainFlow", "◐ running", "ScoreFlow", "✗ failed", "31s", "15m ago", "■ cancelled"],
    "6": ["delay", "#7 90 %", "delay v3", "http://127.0.0.1:3000", "● live", "○ retired", "delay_v1"],
    "3": ["GPU 0", "8.3 of 139 GiB", "run 14 TrainFlow", "61 °C"],
    "8": ["service.exited", "release.created", "run/13", "exit_code=-9"],
}


@pytest.mark.parametrize("size", SIZES)
async def test_each_screen_shows_its_data(box: FakeBox, size: tuple[int, int]) -> None:
    async with showing(app := Recorder(box), size) as pilot:
        for key, seen in SEEN.items():
            await pilot.press(key)
            await until(pilot, lambda seen=seen: all(word in text_of(app) for word in seen))  # type: ignore[misc]
            text = text_of(app)
            assert "flights" in text and "● 2 running" in text
            assert "q Quit" in text.splitlines()[-1]


async def test_an_empty_box_says_what_to_type(box: FakeBox) -> None:
    box.shown = empty()
    told = {
        "1": "Nothing has run yet",
        "2": "box run flows/ingest.py --wait",
        "6": "box deploy NAME",
        "3": "no NVIDIA GPU here",
        "8": "Nothing has happened yet",
    }
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        for key, words in told.items():
            await pilot.press(key)
            await pilot.pause()
            assert words in text_of(app)


async def test_a_box_that_is_down_says_how_to_start_it(box: FakeBox) -> None:
    box.shown = replace(busy(), supervisor=None)
    async with showing(app := Recorder(box), (80, 24)):
        assert "○ not running" in text_of(app) and "$ box up --detach" in text_of(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_shows_its_tasks_and_a_log_that_follows(box: FakeBox, size: tuple[int, int]) -> None:
    box.log.write_text("2026-11-22 14:02:11.123 [17/fit/5 (pid 99)] epoch 1\n")
    async with showing(app := Recorder(box), size) as pilot:
        await pilot.press("2", "enter")
        await until(pilot, lambda: "14:02:11 fit/5 epoch 1" in text_of(app))
        for word in ("box run flows/train.py --param epochs=12 --param seeds=3", "fit x3", "following", "mlflow 0000"):
            assert word in text_of(app)
        with box.log.open("a") as log:
            log.write("Workflow \x1b[31mended\x1b[0m\n")
        await until(pilot, lambda: "Workflow ended" in text_of(app))
        await pilot.press("escape")
        assert not isinstance(app.screen, RunScreen)


async def test_enter_on_a_task_keeps_only_its_step_in_the_log(box: FakeBox) -> None:
    box.log.write_text(
        "".join(f"2026-11-22 14:02:11.123 [17/{step}/5 (pid 9)] of {step}\n" for step in ("start", "fit"))
    )
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "enter")
        pane = app.screen.query_one(LogPane)
        await until(pilot, lambda: len(pane.lines) == 2)
        await pilot.press("enter")
        assert pane.lines == ["14:02:11 start/5 of start"]
        await pilot.press("enter")
        assert len(pane.lines) == 2


async def test_a_log_is_filtered_paused_and_cut(box: FakeBox) -> None:
    box.log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("tab", "l")
        assert isinstance(app.screen, LogScreen)
        pane = app.screen.query_one(LogPane)
        await until(pilot, lambda: "line 19999" in text_of(app))
        assert len(pane.lines) <= 2000
        await pilot.press("slash")
        await typed(pilot, "19998$")
        await pilot.press("enter")
        assert pane.lines == ["line 19998"]
        await pilot.press("escape", "f")
        assert not pane.following and "paused" in text_of(app)
        await pilot.press("right_square_bracket")
        assert pane.subject == "features"


async def test_a_log_that_nobody_has_is_told_and_breaks_nothing(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        app.open_log("nobody")
        await until(pilot, lambda: "no service or run 'nobody'" in text_of(app))
        assert app.failure is None


async def test_keys_move_the_cursor_and_it_survives_a_refresh(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "j", "j", "k", "j")
        runs = table(app, "runs")
        assert runs.selected == "12"
        newer = replace(box.shown.runs[0], id=15, state=RunState.QUEUED, started=None)
        ended = replace(box.shown.runs[0], state=RunState.SUCCEEDED, ended=NOW)
        box.shown = replace(box.shown, at=NOW + 1, runs=(newer, ended, *box.shown.runs[1:]))
        app.poller.wake()
        await until(pilot, lambda: runs.texts[0][0] == "15")
        assert runs.selected == "12" and runs.texts[1][2] == "✓ succeeded"
        await pilot.press("G")
        assert runs.selected == "8"
        await pilot.press("g")
        assert runs.selected == "15"


async def test_an_unchanged_snapshot_draws_nothing(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        # The figures of the releases are read after the snapshot, and drawn.
        await until(pilot, lambda: bool(app.screen._live))  # type: ignore[attr-defined]
        await pilot.pause()
        drawn = {widget: widget._update_count for widget in app.screen.query(LiveTable)}
        before = box.readings
        app.poller.wake()
        await until(pilot, lambda: box.readings > before)
        await pilot.pause()
        assert {widget: widget._update_count for widget in app.screen.query(LiveTable)} == drawn


async def test_only_the_cells_that_changed_are_drawn(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        services = table(app, "services")
        drawn = services._update_count
        slower = replace(box.shown.services[0], state=State.UNHEALTHY)
        box.shown = replace(box.shown, services=(slower, *box.shown.services[1:]))
        app.poller.wake()
        await until(pilot, lambda: services.texts[0][1] == "▲ unhealthy")
        assert services._update_count == drawn + 1


async def test_a_filter_narrows_and_escape_clears_it(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "slash")
        await typed(pilot, "fail|cancel")
        runs = table(app, "runs")
        assert [row[0] for row in runs.texts] == ["13", "9"]
        await pilot.press("enter", "j")
        assert runs.selected == "9"
        await pilot.press("escape")
        assert len(runs.texts) == 7
        await pilot.press("slash")
        await typed(pilot, "zzz")
        assert "Nothing passes the filter" in text_of(app)


async def test_sorting_goes_through_the_columns(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "s")
        runs = table(app, "runs")
        assert [row[0] for row in runs.texts] == ["8", "9", "10", "11", "12", "13", "14"]
        await pilot.press("s", "S")
        assert runs.texts[0][1] == "TrainFlow"


async def test_an_event_leads_to_what_it_is_about(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("8", "j", "enter")
        assert isinstance(app.screen, RunScreen) and app.screen.trail == "run 14"
        await pilot.press("escape", "j", "j", "enter")
        assert app.current_mode == "endpoints"


async def test_a_service_leads_to_its_log(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("tab", "enter")
        assert isinstance(app.screen, LogScreen) and app.screen.trail == "log of tracking"


async def test_releases_follow_the_endpoint_under_the_cursor(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("6")
        await pilot.pause()
        assert [row[0] for row in table(app, "releases").texts] == ["#7", "#6", "#5"]
        await pilot.press("j")
        await until(pilot, lambda: table(app, "releases").texts == [])


async def test_following_events_stays_on_the_newest(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("8", "G", "f")
        events = table(app, "events")
        assert events.selected == "14"
        newest = replace(box.shown.events[-1], id=15)
        box.shown = replace(box.shown, events=(*box.shown.events, newest))
        app.poller.wake()
        await until(pilot, lambda: len(events.texts) == 15)
        assert events.selected == "15"


async def test_the_mouse_opens_a_screen_and_a_run(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.click("#tabs", offset=(14, 0))
        assert app.current_mode == "runs"
        await pilot.pause()
        await pilot.click("#runs LiveTable", offset=(3, 2))
        await pilot.click("#runs LiveTable", offset=(3, 2))
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_a_digit_leaves_what_was_opened(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "enter", "2")
        assert not isinstance(app.screen, RunScreen)


async def test_resizing_lays_the_columns_out_again(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("tab", "j")
        services = table(app, "services")
        narrow = len(services.texts[0])
        for size in ((200, 60), (50, 12), (20, 5), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert services.selected == "features"
            if size == (200, 60):
                assert len(services.texts[0]) > narrow
        assert len(services.texts[0]) == narrow


async def test_help_lists_the_keys_of_the_screen_in_front(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "question_mark")
        await pilot.pause()
        text = text_of(app)
        assert "x  Cancel" in text and "/  Filter" in text and "Sort by the next column" in text
        await pilot.press("escape", "8", "question_mark")
        await pilot.pause()
        assert "x  Cancel" not in text_of(app)


async def test_every_theme_can_be_drawn(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        assert app.theme == "boxplat" and app.tones["bad"] == app.get_css_variables()["error"]
        for theme in ("boxplat-light", "ansi-dark", "nord"):
            app.theme = theme
            await pilot.pause()
            assert "● running" in text_of(app)
            expected = app.get_css_variables()["error"].removeprefix("ansi_")
            assert app.tones["bad"] == expected and table(app, "services").tones["bad"] == expected
