"""What all screens share: readings of commands, marks, the palette of keys, bars, themes, and texts that mean harm."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from boxplat.core.model import Event
from boxplat_tui import process
from boxplat_tui.app import BoxApp
from boxplat_tui.commands import Command
from boxplat_tui.frame import text_of
from boxplat_tui.lines import without_controls
from boxplat_tui.reading import REST, Reading
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.screens.dialogs import ConfirmScreen
from boxplat_tui.theme import CONTRAST
from boxplat_tui.widgets.table import MOST_ROWS, LiveTable
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until
from tests.tui.demo import NOW, busy

pytestmark = pytest.mark.anyio
EVIL = "航班👩‍🔬" * 30 + "\x1b[2J\x1b]0;title\x07\u202e[bold red]x[/]\x9b31m"
STEERING = {"\x1b", "\x07", "\x9b", "\u202e", "\r", "\x08"}


def printing(status: int, printed: str, told: str = "") -> object:
    async def output(command: Command) -> tuple[int, bytes, bytes]:
        return status, printed.encode(), told.encode()

    return output


async def read(reading: Reading, status: int, printed: str, told: str = "", at: float = NOW) -> None:
    await reading.read(printing(status, printed, told), lambda: at)  # type: ignore[arg-type]


async def test_a_reading_keeps_its_object_and_age_through_a_failure() -> None:
    reading = Reading(("features", "list"))
    assert reading.said(NOW) == "reading …" and not reading.known
    await read(reading, 0, json.dumps({"schema_version": 1, "views": [7]}))
    assert reading.data["views"] == [7] and reading.said(NOW + 12) == "as of 10s ago"
    failed = {"schema_version": 1, "error": "no store", "why": "it is away", "fix": "box up", "log": "a.log", "code": 4}
    await read(reading, 4, json.dumps(failed), at=NOW + 60)
    error = reading.error
    assert error and (error.what, error.why, error.fix, error.log) == ("no store", "it is away", "box up", "a.log")
    assert reading.data["views"] == [7] and reading.at == NOW


@pytest.mark.parametrize(
    ("printed", "told", "why"), [("", "", "exit status 7"), ("[]", "boom", "boom"), ("{", "", "7")]
)
async def test_what_is_no_object_of_box_is_told_as_an_error(printed: str, told: str, why: str) -> None:
    reading = Reading(("why", "12"))
    await read(reading, 7, printed, told)
    assert reading.error and why in reading.error.why and reading.error.fix == "box why 12 --json"


async def test_a_reading_rests_in_proportion_to_what_it_takes_and_hears_its_events() -> None:
    reading, snapshot = Reading(("models",), every=15.0, kinds=("model.",)), busy()
    reading.hear(snapshot)
    await read(reading, 0, '{"schema_version": 1}')
    began, reading._took = reading._tried or 0.0, 0.0
    assert not reading.due(began + 14) and reading.due(began + 15.1)
    reading._took = 2.0
    assert not reading.due(began + 2 * REST - 1) and reading.due(began + 2 * REST + 1)
    reading.looked_at(began + 14)
    assert not reading.due(began + 14), "who looks at it finds it new enough"
    reading.looked_at(began + 16)
    assert reading.due(began + 16), "who comes to look need not wait for the rest"
    reading._wanted = False
    reading.hear(replace(snapshot, events=(*snapshot.events, Event(98, NOW, "run/1", "run.failed", {}))))
    assert not reading.due(began + 1)
    reading.hear(replace(snapshot, events=(*snapshot.events, Event(99, NOW, "delay/1", "model.added", {}))))
    assert reading.due(began + 1)


async def test_a_child_that_only_looks_is_bounded(tmp_path: Path) -> None:
    code = "import sys; print('{}'); print('told', file=sys.stderr); sys.exit(3)"
    assert await process.output([sys.executable, "-c", code], str(tmp_path), 100) == (3, b"{}\n", b"told\n")
    with pytest.raises(OSError, match="more than"):
        await process.output([sys.executable, "-c", "print('x' * 200_000)"], str(tmp_path), 1000)


class Looking(BoxScreen):
    """A screen that shows what a command prints."""

    def readings(self) -> list[Reading]:
        return [self.box_app.reading("cost", every=600.0)]


async def test_a_screen_says_how_old_its_reading_is_and_reads_again_when_asked(box: FakeBox) -> None:
    box.printed["cost",] = {"cost": []}
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        app.push_screen(Looking())
        await until(pilot, lambda: "as of just now" in text_of(app))
        app.later = 30.0
        box.printed["cost",] = {"error": "no rates", "why": "none in boxplat.toml", "fix": "box config", "code": 4}
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "no rates; what you see is 30s old" in text_of(app))
        assert "fix  box config" in text_of(app) and app.read.count("box cost --json") == 2


async def test_marks_stay_on_their_rows(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "space", "j", "space")
        table = app.screen.query_one("#runs LiveTable", LiveTable)
        assert table.marked == ["14", "12"] and table.selected == "11"
        newer = replace(box.shown.runs[0], id=15)
        box.shown = replace(box.shown, runs=(newer, *box.shown.runs))
        app.poller.wake()
        await until(pilot, lambda: table.texts[0][0] == "15")
        assert [row[0] for row in table.texts][:4] == ["15", "◆14", "13", "◆12"] and table.marked == ["14", "12"]


async def test_the_palette_has_the_keys_of_the_screen_in_front(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "colon")
        await typed(pilot, "cancel")
        await until(pilot, lambda: "key x, here on 14" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        assert app.asked == ["box cancel 14"]


async def test_readonly_is_said(box: FakeBox) -> None:
    async with showing(app := Recorder(box, readonly=True), (80, 24)):
        assert "read-only" in text_of(app).splitlines()[0]


async def test_the_screens_fit_the_title_at_every_width(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        for width, seen in ((80, "3 Queue 4 Features"), (140, " 3 Queue   4 Features "), (50, " 2   3   4 ")):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda seen=seen: seen in text_of(app).splitlines()[1])  # type: ignore[misc]


async def test_ten_thousand_rows_are_drawn_in_part_and_filtered_whole(box: FakeBox) -> None:
    one = box.shown.runs[0]
    box.shown = replace(box.shown, runs=tuple(replace(one, id=number) for number in range(10_000, 0, -1)))
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2")
        table = app.screen.query_one("#runs LiveTable", LiveTable)
        await until(pilot, lambda: len(table.texts) == MOST_ROWS)
        await pilot.press("slash")
        await typed(pilot, "^77 ")
        await until(pilot, lambda: [row[0] for row in table.texts] == ["77"])


def evil(box: FakeBox) -> None:
    """Harmful text wherever a name or a message comes from outside."""
    shown, (first, *others) = box.shown, box.shown.services
    release = replace(shown.endpoints[0].releases[0], bento=EVIL, model=EVIL, created_by=EVIL, feature_service=EVIL)
    endpoint = replace(shown.endpoints[0], name=EVIL, url=EVIL, releases=(release,), reason=EVIL)
    box.shown = replace(
        shown,
        project=EVIL,
        services=(replace(first, name=EVIL, reason=EVIL, url=EVIL), *others),
        runs=tuple(replace(run, name=EVIL, flow=EVIL, error=EVIL, params={EVIL: EVIL}) for run in shown.runs),
        endpoints=(endpoint, *shown.endpoints[1:]),
        events=tuple(replace(event, subject=EVIL, kind=EVIL, data={EVIL: EVIL}) for event in shown.events),
        gpus=tuple(replace(gpu, name=EVIL) for gpu in shown.gpus),
    )
    box.log.write_text((EVIL + "\n") * 3 + "x" * 2**20 + "\n")


def harmless(app: BoxApp) -> None:
    text = "".join(segment.text for strip in app.screen._compositor.render_strips() for segment in strip)
    assert not STEERING & set(text), sorted(STEERING & set(text))


async def test_no_text_steers_the_terminal_on_any_screen_or_dialog(box: FakeBox) -> None:
    evil(box)
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        for key in (*"12345678", "l", "escape", "question_mark", "escape", "2", "enter", "escape", "r", "escape"):
            await pilot.press(key)
            await pilot.pause()
            harmless(app)
        app.notify(EVIL, title=EVIL, markup=False)
        app.push_screen(ConfirmScreen(Command(("cancel", EVIL), effect=EVIL)))
        await until(pilot, lambda: "Are you sure?" in text_of(app) and "[bold red]x[/]" in text_of(app))
        harmless(app)
        assert app.failure is None


def test_only_what_steers_is_taken_out() -> None:
    assert without_controls("a\x1bb\x9bc\u202ed") == "abcd"
    assert without_controls("航班 ä │ ▁") == "航班 ä │ ▁"


def luminance(colour: str) -> float:
    """WCAG's relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_theme_of_high_contrast_has_it() -> None:
    colours = (
        CONTRAST.foreground,
        CONTRAST.primary,
        CONTRAST.success,
        CONTRAST.warning,
        CONTRAST.error,
        CONTRAST.accent,
    )
    for background in (CONTRAST.background, CONTRAST.panel):
        for colour in colours:
            assert (luminance(colour or "") + 0.05) / (luminance(background or "") + 0.05) >= 7
