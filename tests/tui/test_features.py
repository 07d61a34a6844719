"""The features screen: freshness, schema, distributions, what was last done, and its actions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.widgets import Input

from boxplat.cli import box as command_line
from boxplat_tui import commands
from boxplat_tui.format import NONE
from boxplat_tui.frame import text_of
from boxplat_tui.screens import feature_plots, feature_rows, feature_ways
from boxplat_tui.screens.choose import ChooseScreen
from boxplat_tui.screens.logs import LogScreen
from boxplat_tui.screens.view import OneViewScreen
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until
from tests.tui.demo_features import HISTOGRAM, NUMBERS, listing, shown, view
from tests.tui.test_screens import table

anyio = pytest.mark.anyio
LIST, SHOW = ("features", "list"), ("features", "show")


@pytest.fixture
def filled(box: FakeBox) -> FakeBox:
    box.printed[LIST] = listing()
    for name in ("ops", "tail_last", "weather"):
        box.printed[(*SHOW, name)] = shown(name)
    return box


@anyio
async def test_views_are_shown_with_what_needs_a_person(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled), (80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "▲ stale" in text_of(app))
        rows = {row[0]: row[1:6] for row in table(app, "views").texts}
        assert rows["ops"] == ("▲ stale", "2h", "━━━━━━━━", "1h", "1,312")
        assert rows["weather"] == ("● fresh", "20m", "━───────", "3h", "1,312")
        assert rows["ratios"][:2] == ("◌ on demand", NONE) and rows["tail_last"][0] == "○ not online"
        for words in (
            "▲ stale: ops  $ box features materialize",
            "✓ materialized  2,624 rows of 2 views  15m ago by ada/cli",
            "✗ audit refused training.parquet: dep_delay knows the future, and 1 more",
            "✗ delay skew: 485 of 24,500 values",
        ):
            assert words in text_of(app)


@anyio
async def test_enter_shows_a_views_features_and_their_values(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled), (80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "▲ stale" in text_of(app))
        await pilot.press("G", "enter")
        await until(pilot, lambda: "a sample of 1,000 of 26,115 rows" in text_of(app))
        assert isinstance(app.screen, OneViewScreen) and app.screen.trail == "weather"
        text = text_of(app)
        for words in (
            "origin string, hour int64",
            "median 21",
            "10 % null",
            "2 NaN or infinite",
            "3 above, up to 1048",
        ):
            assert words in text
        assert text.count("█") > 20 and "━●" in text
        await pilot.press("j")
        await until(pilot, lambda: "12 different values" in text_of(app))
        assert "clear" in text_of(app) and "\x1b" not in text_of(app) and "10 other values: 100 rows" in text_of(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, OneViewScreen)


@anyio
async def test_a_wide_terminal_shows_the_view_beside_the_list(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled), (140, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "a sample of 1,000" in text_of(app))
        assert "box features show ops --json" in app.read
        await pilot.press("slash")
        await typed(pilot, "sky")
        assert [len(table(app, name).texts) for name in ("views", "fields")] == [4, 2]
        await pilot.press("escape", "enter", "j")
        await until(pilot, lambda: "12 different values" in text_of(app))
        await pilot.press("escape", "j")
        assert table(app, "views").has_focus
        await until(pilot, lambda: "none: computed when it is read" in text_of(app))


@anyio
async def test_a_way_through_the_list_looks_only_where_it_ends(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled), (80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: bool(table(app, "views").texts))
        for row in (1, 2, 3):
            table(app, "views").move_cursor(row=row)
        await until(pilot, lambda: "box features show weather --json" in app.read)
        assert "box features show tail_last --json" not in app.read


ASKED = (
    ("a y", ["box features apply"]),
    ("a n", []),
    ("A", ["box features audit"]),
    ("m enter", ["box features materialize"]),
    ("w enter", ["box features skew delay"]),
    ("p enter", ['box features get weather \'[{"origin": "JFK", "hour": 7}]\'']),
)


@anyio
async def test_a_key_asks_for_its_command(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled), (80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: bool(table(app, "views").texts))
        await pilot.press("G")
        await until(pilot, lambda: "box features show weather --json" in app.read)
        await pilot.pause()
        for keys, asked in ASKED:
            app.asked.clear()
            await pilot.press(*keys.split())
            await pilot.pause()
            assert app.asked == asked, keys
        app.asked.clear()
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen))
        await typed(pilot, "origin=LGA")
        assert "hour must be given" in text_of(app)
        await pilot.press("enter")
        assert app.asked == []
        app.screen.query_one(Input).value = "origin=LGA hour=3"
        await pilot.press("enter")
        assert app.asked == ['box features get weather \'[{"origin": "LGA", "hour": 3}]\'']
        await pilot.press("v")
        assert isinstance(app.screen, LogScreen) and app.screen.trail == "log of audit"
        await pilot.press("escape", "c", "C")
        assert app.copied == ["weather", "box features show weather"]


@anyio
async def test_readonly_looks_and_changes_nothing(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled, readonly=True), (80, 24)) as pilot:
        await pilot.press("4", "a", "m", "A", "p", "w")
        assert app.asked == [] and app.front is app.screen
        assert "Materialize" not in text_of(app).splitlines()[-1]


@anyio
async def test_nothing_applied_and_no_view_at_all_say_what_to_type(box: FakeBox) -> None:
    box.printed[LIST] = {"error": "nothing of feature_repo has been applied", "why": "there is no registry"}
    box.printed[LIST] |= {"fix": "box features apply && box features materialize", "code": 9}
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "fix  box features apply && box features materialize" in text_of(app))
        box.printed[LIST] = {"views": [], "last": {}, "skew": {}}
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "No feature view is declared yet." in text_of(app))
        assert "box features apply" in text_of(app) and "box features audit" in text_of(app)


@anyio
async def test_the_screen_is_ascii_where_that_is_asked_for(filled: FakeBox) -> None:
    async with showing(app := Recorder(filled, ascii=True), (140, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "a sample of 1,000" in text_of(app))
        assert text_of(app).isascii() and "! stale" in text_of(app) and "=*" in text_of(app)


def drawn(values: dict[str, Any], width: int, room: int) -> list[str]:
    feature = {"name": "f", "type": "DOUBLE", "distribution": values, "why": ""}
    lines = feature_plots.distribution(feature, width, room, "all 5 rows")
    return ["".join(cell.text for cell in cells) for cells in lines]


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    points=st.lists(st.floats(-1e9, 1e9), min_size=7, max_size=7),
    width=st.integers(20, 200),
    room=st.integers(1, 60),
)
def test_any_distribution_fits_its_place(counts: list[int], points: list[float], width: int, room: int) -> None:
    low, high = min(points), max(points)
    edges = [low + (high - low) * n / len(counts) for n in range(len(counts) + 1)]
    quantiles = dict(zip(NUMBERS["quantiles"], sorted(points), strict=True))
    values = NUMBERS | {"histogram": HISTOGRAM | {"edges": edges, "counts": counts}, "quantiles": quantiles}
    lines = drawn(values, width, room)
    columns = max(width // len(counts), 1) * len(counts)
    assert all(len(line.rstrip()) <= max(width, columns, 40) for line in lines[2:])
    assert sum("●" in line for line in lines) == 1


def test_the_histogram_takes_the_room_there_is() -> None:
    heights = [sum("█" in line or "▇" in line for line in drawn(NUMBERS, 80, room)) for room in (5, 14, 20, 90)]
    assert heights == sorted(heights) and heights[0] <= 3 < heights[2] <= 16


def test_whole_numbers_end_the_axis_as_they_are() -> None:
    halves = [n - 0.5 for n in range(31)]
    lines = drawn(NUMBERS | {"histogram": HISTOGRAM | {"edges": halves}}, 60, 9)
    assert any(line.split() == ["0", "29"] for line in lines)


def test_a_feature_that_the_source_has_not_says_why() -> None:
    feature = {"name": "f", "type": "", "distribution": None, "why": "its source has no column f"}
    lines = list(feature_plots.distribution(feature, 80, 20, ""))
    assert lines[-1][0].text == "its source has no column f"


def test_states_are_glyph_and_word() -> None:
    told = [view("a", 1, 2), view("a", 3, 2), view("a", 3, 2, rows=0), view("a", None, 2), view("a", 1, 2, closed="x")]
    told.append(view("a", None, 2, online=None))
    assert [feature_rows.state(one).text for one in told] == [
        "● fresh", "▲ stale", "○ empty", "○ not online", "✗ closed", "○ not known",
    ]  # fmt: skip
    assert feature_rows.life(None, 5).text == NONE and feature_rows.life(1, None).text == NONE


def test_a_replay_is_materialized_until_a_moment_only() -> None:
    (only,) = feature_ways.materializations(listing() | {"clock": "materialization"})
    for wrong in ("", "yesterday"):
        with pytest.raises(ValueError, match=r".+"):
            only.make(wrong)
    assert only.make("2013-12-30T22:00:00Z").text == "box features materialize --end 2013-12-30T22:00:00Z"


def test_keys_are_asked_for_in_their_type() -> None:
    (only,) = feature_ways.questions(view("ops", 1, 2), {})
    assert json.loads(only.make("origin='New York' hour=7").words[-1]) == [{"origin": "New York", "hour": 7}]
    with pytest.raises(ValueError, match="seven"):
        only.make("origin=a hour=seven")


def test_every_command_is_one_that_the_command_line_accepts() -> None:
    for command in (
        commands.features_show("a"), commands.features_audit(), commands.features_skew("e"),
        commands.features_get("a", {"k": 1}), commands.features_materialize("2026-01-01"),
    ):  # fmt: skip
        group: Any = command_line
        words = list(command.words)
        while words and hasattr(group, "commands"):
            group = group.commands[words.pop(0)]
        group.make_context(command.text, words)
