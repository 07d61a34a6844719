"""Runs in the dashboard: steps on a time line, metrics as curves, use, data, runs side by side, and sweeps."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest
from textual.widgets import ContentSwitcher

from boxplat.core.errors import not_found
from boxplat.core.metrics import Fact
from boxplat.core.model import RunState, Task
from boxplat_tui.app import BoxApp
from boxplat_tui.format import NONE
from boxplat_tui.frame import text_of
from boxplat_tui.glyphs import to_ascii
from boxplat_tui.screens import run_rows, run_views, sweep_rows
from boxplat_tui.screens.compare import CompareScreen
from boxplat_tui.screens.run import RunScreen
from boxplat_tui.screens.sweeps import SweepScreen
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.plots import curve, resampled, span_bar, spark
from boxplat_tui.widgets.table import MOST_ROWS, LiveTable
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until
from tests.tui.demo import NOW
from tests.tui.demo_runs import SWEEP, TRIALS, series

pytestmark = pytest.mark.anyio


def table(app: BoxApp, name: str) -> LiveTable:
    return app.screen.query_one(f"#{name} LiveTable", LiveTable)


def wide(count: int, state: RunState = RunState.SUCCEEDED) -> tuple[Task, ...]:
    return tuple(Task(14, "fit", str(number), 0, state, NOW - 90, NOW - 60, number) for number in range(count))


def test_a_spark_line_spreads_its_own_range_and_leaves_gaps() -> None:
    assert spark([0, 1, None, 2], 10) == "▁▅ █"
    assert spark([], 5) == "" and spark([None], 5) == " " and spark([float("nan"), 1.0], 5)[0] == " "
    assert spark([5.0, 5.0], 5) == "▁▁"
    assert len(spark(list(range(1000)), 40)) == 40


def test_a_curve_goes_from_end_to_end() -> None:
    lines = curve(list(range(10)), 12, 4)
    assert [len(line) for line in lines] == [12] * 4
    assert lines[0][-1] != " " and lines[-1][0] != " " and lines[0][0] == " "
    assert curve([], 5, 2) == [" " * 5] * 2 and curve([None, 3.0, None], 5, 2) != [" " * 5] * 2
    assert to_ascii("".join(lines)).isascii() and "?" not in to_ascii("".join(lines))


def test_resampling_keeps_the_mean_of_what_is_there() -> None:
    assert resampled([1, 3, None, None, 5, 7], 3) == [2, None, 6]


def test_a_bar_on_a_time_line_is_never_empty_and_never_too_long() -> None:
    for begin, end in ((0, 0), (1, 1), (0.5, 0.5), (0, 1), (0.2, 5), (-1, 0)):
        bar = span_bar(begin, end, 10)
        assert len(bar) == 10 and bar.strip()
    assert span_bar(0.5, 1, 10) == "     █████"


def test_a_foreach_is_folded_with_its_counts_but_what_failed_stays_in_sight() -> None:
    failed = replace(wide(1, RunState.FAILED)[0], task="99", index=99)
    rows = run_rows.steps(None, (*wide(40), failed), (), NOW, 20)
    assert [row.key for row in rows] == ["fit", "fit/99"]
    assert rows[0].cells[0].text == "▶ fit x41" and rows[0].cells[1].text == "✗ 1/41 failed"
    assert len(run_rows.steps(None, wide(40), {"fit"}, NOW, 20)) == 41


def test_time_lines_are_to_scale() -> None:
    two = (Task(1, "a", "1", 0, RunState.SUCCEEDED, 0, 50), Task(1, "b", "2", 0, RunState.RUNNING, 50))
    bars = [row.cells[4].text for row in run_rows.steps(None, two, (), 100.0, 10)]
    assert bars == ["█████     ", "     █████"]


def test_a_task_that_waits_says_why() -> None:
    waiting = Task(1, "a", "1", 0, RunState.QUEUED, 0.0, waits="2 of 2 cores are in use")
    [row] = run_rows.steps(None, (waiting,), (), 100.0, 10)
    assert row.cells[4].text == "2 of 2 cores are in use" and row.cells[3].text == NONE


async def test_a_run_opens_folded_and_its_parts_are_a_key_away(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "enter")
        await until(pilot, lambda: "▶ fit x3" in text_of(app))
        assert "◐ 2 of 3" in text_of(app) and "fit[1]" not in text_of(app)
        await pilot.press("j", "j", "enter")
        await until(pilot, lambda: "fit[1]" in text_of(app))
        assert app.screen.query_one(LogPane).pattern == "/fit/"
        await pilot.press("enter")
        assert "fit[1]" not in text_of(app) and app.screen.query_one(LogPane).pattern == ""
        for key, seen in (
            ("m", "validation_loss"),
            ("u", "357 MiB of 3.7 GiB"),
            ("v", "039fb1a9a37ec7fe"),
            ("l", "LOG"),
        ):
            await pilot.press(key)
            await pilot.pause()
            assert seen in text_of(app), key
        await pilot.press("right_square_bracket")
        assert app.screen.query_one(ContentSwitcher).current == "measured"
        for size in ((20, 5), (200, 60)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert app.failure is None and "validation_loss" in text_of(app)


async def test_a_failed_run_is_gone_on_with_and_others_are_not(box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "j", "enter")
        await until(pilot, lambda: "KeyError: 'tailnum'" in text_of(app))
        await pilot.press("e")
        assert app.asked == ["box run flows/score.py --resume 13"]
        app.asked.clear()
        await pilot.press("escape", "j", "enter")
        await pilot.pause()
        await pilot.press("e")
        assert app.asked == []
        missing = not_found("run", "99", ["14"], "box runs")
        monkeypatch.setattr(box.history, "show", Mock(side_effect=missing))
        app.push_screen(RunScreen(99))
        await until(pilot, lambda: "no run '99'" in text_of(app))
        assert app.failure is None


async def test_readonly_hides_what_changes_a_run(box: FakeBox) -> None:
    async with showing(app := Recorder(box, readonly=True)) as pilot:
        await pilot.press("2", "j", "enter")
        await pilot.pause()
        await pilot.press("e", "x", "r")
        assert app.asked == [] and isinstance(app.screen, RunScreen)


async def test_the_run_under_the_cursor_is_previewed_where_there_is_room(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (140, 40)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "4 of 5 tasks done" in text_of(app) and "validation_loss" in text_of(app))
        await pilot.press("j")
        await until(pilot, lambda: "$ box run flows/score.py" in text_of(app))


async def test_older_runs_than_a_snapshot_has_are_listed_and_searched(box: FakeBox) -> None:
    one = box.shown.runs[2]
    everything = [*box.shown.runs, *(replace(one, id=-number, name="OldFlow") for number in range(600))]
    asked: list[int] = []

    def runs(limit: int) -> list[object]:
        asked.append(limit)
        return list(everything[:limit])

    box.runs = runs  # type: ignore[assignment,method-assign]
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: len(table(app, "runs").texts) == MOST_ROWS)
        await pilot.press("slash")
        await typed(pilot, "^-59")
        await until(pilot, lambda: "-598" in text_of(app))
        assert asked[0] == 500 and max(asked) == 5_000


async def test_marked_runs_are_compared_by_what_differs(box: FakeBox) -> None:
    box.history.facts = (
        Fact("parameter", "epochs", ("4", "12"), True),
        Fact("metric", "auc", (0.75, 0.78), True),
        Fact("code", "digest", ("3f05", "3f05"), False),
    )
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "equals_sign")
        assert not isinstance(app.screen, CompareScreen)
        await pilot.press("space", "G", "space", "equals_sign")
        await until(pilot, lambda: "epochs" in text_of(app))
        assert app.screen.trail == "runs 8, 14 side by side"
        assert "0.78 (+0.03)" in text_of(app) and "digest" not in text_of(app) and "1 fact not shown" in text_of(app)
        await pilot.press("C")
        assert app.copied == ["box runs compare 8 14"]
        await pilot.press("a")
        await pilot.pause()
        assert "digest" in text_of(app)


async def test_a_sweep_shows_its_best_trial_and_leads_to_its_runs(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (140, 40)) as pilot:
        await pilot.press("2", "w")
        await until(pilot, lambda: "2 of 3" in text_of(app) and "auc 0.78" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "★ trial 1, run 12: auc 0.78" in text_of(app))
        assert isinstance(app.screen, SweepScreen) and "trial 1 on the way" in text_of(app)
        await pilot.press("x", "y")
        assert app.asked == ["box sweep cancel 3"]
        await pilot.press("enter")
        assert isinstance(app.screen, RunScreen) and app.screen.trail == "run 12"


def test_the_best_trial_comes_first_and_others_by_number() -> None:
    rows = sweep_rows.trials(SWEEP, TRIALS, NOW)
    assert [row.key for row in rows] == ["1", "0", "2"] and rows[0].cells[0].text == "★"


def test_charts_stand_beside_each_other_where_there_is_room() -> None:
    two = [series("a", [1.0, 2.0, 3.0]), series("b", [3.0, 2.0, 1.0]), series("flat", [1.0, 1.0, 1.0])]
    narrow, across = (run_views.metrics(two, {}, width).plain.split("\n") for width in (50, 120))
    assert "a" in across[0] and "b" in across[0] and "b" not in narrow[0]
    assert across[-1].split() == ["flat", "1"] and all(len(line) <= 120 for line in across)


def test_hostile_names_of_metrics_and_tasks_stay_text() -> None:
    evil = [series("\x1b[2J[bold]" + "航" * 200, [1.0, 2.0, 5.0]), series("\x07x", [1.0])]
    plain = run_views.metrics(evil, {}, 60).plain
    assert "\x1b" not in plain and "\x07" not in plain
