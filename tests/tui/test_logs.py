"""Logs as a pager shows them: followed, wrapped, searched, with whatever a program may have written."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.widgets import Input

from boxplat_tui.frame import text_of
from boxplat_tui.screens.logs import LogScreen, LogsScreen
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.logview import MOST_LINES, LogView
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until

anyio = pytest.mark.anyio


class Viewed(App[str]):
    """A log view and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.view = LogView()

    def compose(self) -> ComposeResult:
        yield self.view


class Reader(Recorder):
    """Begins at the events, which spares each test another screen."""

    DEFAULT_MODE = "events"


@anyio
async def test_what_is_read_back_in_stays_in_sight_while_more_comes() -> None:
    app = Viewed()
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.append([f"line {number}" for number in range(500)], follow=True)
        await pilot.pause()
        assert "line 499" in text_of(app) and app.view.pinned
        await pilot.press(*"kkkkk")
        assert not app.view.pinned and "line 485" in text_of(app)
        app.view.append([f"more {number}" for number in range(5)], follow=True)
        await pilot.pause()
        assert "more" not in text_of(app) and "line 485" in text_of(app)
        # The lines at the top are dropped; what is read stays where it is.
        app.view.append(["filler"] * (MOST_LINES - 400), follow=True)
        await pilot.pause()
        assert "line 485" in text_of(app) and app.view.lines[0] == "line 105"
        await pilot.press("G")
        assert app.view.pinned and text_of(app).count("filler") == 10


@anyio
async def test_wrapped_lines_show_every_character_and_their_end_stays_in_sight() -> None:
    app, long = Viewed(), "".join(f"<{number}>" for number in range(60))
    async with app.run_test(size=(30, 12)) as pilot:
        app.view.append(["first", "航班" * 20, long], follow=True)
        await pilot.press("w")
        await pilot.pause()
        rows = text_of(app).splitlines()
        assert "".join(row.rstrip(" ▁▂▃▄▅▆▇█") for row in rows).endswith("<59>")
        await pilot.press("g")
        await pilot.pause()
        assert text_of(app).count("航") == 20 and max(cell_len(row) for row in text_of(app).splitlines()) <= 30
        await pilot.resize_terminal(60, 12)
        await pilot.pause()
        assert text_of(app).splitlines()[1].count("航") == 15
        assert app.view.lines == ["first", "航班" * 20, long]


@anyio
async def test_what_the_filter_found_is_gone_through_among_all_the_others() -> None:
    app = Viewed()
    async with app.run_test(size=(40, 10)) as pilot:
        app.view.append(
            [f"line {number} {'bad' if number % 50 == 0 else 'fine'}" for number in range(500)], follow=True
        )
        app.view.filter("BAD")
        assert len(app.view.lines) == 10
        await pilot.press("n")
        assert not app.view.only and len(app.view.lines) == 500
        await until(pilot, lambda: "line 0 bad" in text_of(app) and "line 3 fine" in text_of(app))
        for keys, expected in (
            ("n", "line 50 bad"),
            ("nn", "line 150 bad"),
            ("N", "line 100 bad"),
            ("NNN", "line 450"),
        ):
            await pilot.press(*keys)
            await pilot.pause()
            assert expected in text_of(app), keys
        await pilot.press("m")
        assert app.view.only and len(app.view.lines) == 10
        app.view.filter("!bad")
        assert len(app.view.lines) == 490
        app.view.filter("nowhere")
        await pilot.press("n", "N")
        assert app.is_running


@anyio
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=120), max_size=30), st.booleans(), st.text(max_size=5))
async def test_whatever_is_written_is_drawn_within_the_width(lines: list[str], wrap: bool, pattern: str) -> None:
    app = Viewed()
    async with app.run_test(size=(20, 8)) as pilot:
        from boxplat_tui.lines import clean

        app.view.wrap = wrap
        app.view.append([clean(line) for line in lines], follow=True)
        app.view.filter(pattern)
        await pilot.press("n")
        assert all(cell_len(row) <= 20 for row in text_of(app).splitlines())


@anyio
async def test_a_line_of_a_megabyte_and_control_characters_neither_break_nor_inject(box: FakeBox) -> None:
    box.log.write_bytes(
        b"first\n"
        + b"x" * 1_000_000
        + b"\n\x1b[31mred\x1b[0m \x1b]0;title\x07\x07\xff\xe2\x80\xae\n10%\r100%\n[bold]x[/]\nlast\n"
    )
    async with showing(app := Reader(box), (80, 24)) as pilot:
        app.open_log("tracking")
        await until(pilot, lambda: "last" in text_of(app))
        seen = text_of(app)
        assert "red" in seen and "[bold]x[/]" in seen and "\n 100%" in seen and "title" not in seen
        assert not {"\x1b", "\x07", "\u202e"} & set(seen) and "KiB before: E" in seen
        await pilot.press("w")
        with box.log.open("ab") as log:
            log.write(b"y" * 1_000_000 + b"\nafter\n")
        app.poller.wake()
        await until(pilot, lambda: "after" in text_of(app))
        assert max(map(len, app.screen.query_one(LogPane).lines)) <= 4096


@anyio
async def test_every_log_is_in_one_list_and_the_head_says_how_it_is_shown(box: FakeBox) -> None:
    box.log.write_text("".join(f"line {number} {'bad' if number % 9 == 0 else ''}\n" for number in range(100)))
    async with showing(app := Reader(box), (80, 24)) as pilot:
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, LogsScreen) and "run 14" in text_of(app))
        assert all(word in text_of(app) for word in ("supervisor", "◐ starting", "✗ failed", "KeyError: 'tailnum'"))
        await pilot.press("slash")
        await typed(pilot, "score")
        await pilot.press("enter", "C", "enter")
        await until(pilot, lambda: isinstance(app.screen, LogScreen) and "line 99" in text_of(app))
        assert app.copied == ["box logs 13 --follow"] and app.screen.trail == "log of run 13"
        await pilot.press("k")
        await until(pilot, lambda: "scrolled back: G follows again" in text_of(app))
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await typed(pilot, "bad")
        await pilot.press("enter")
        await until(pilot, lambda: "only what passes" in text_of(app) and "line 98" not in text_of(app))
        await pilot.press("n", "w")
        await until(pilot, lambda: "all lines: n N m" in text_of(app) and "wrapped" in text_of(app))


@anyio
async def test_earlier_lines_are_read_back_to_the_first_and_what_is_in_sight_stays(box: FakeBox) -> None:
    box.log.write_text("".join(f"line {number} {'x' * 20}\n" for number in range(20_000)))
    async with showing(app := Reader(box), (80, 24)) as pilot:
        app.open_log("tracking")
        pane_lines = lambda: app.screen.query_one(LogPane).lines  # noqa: E731
        await until(pilot, lambda: "line 19999" in text_of(app))
        assert len(pane_lines()) == MOST_LINES
        await pilot.press("k", "k", "E")
        await until(pilot, lambda: len(pane_lines()) > 10_000 and "line 19999" in text_of(app))
        for least in (15_000, 20_000):
            await pilot.press("E")
            await until(pilot, lambda least=least: len(pane_lines()) >= least)  # type: ignore[misc]
        assert pane_lines() == [f"line {number} {'x' * 20}" for number in range(20_000)]
        assert "before: E" not in text_of(app)
        await pilot.press("g")
        await until(pilot, lambda: "line 0 x" in text_of(app))
        with box.log.open("a") as log:
            log.write("one more\n")
        app.poller.wake()
        await until(pilot, lambda: pane_lines()[-1] == "one more")
        assert "line 0 x" in text_of(app)
