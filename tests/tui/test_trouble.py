"""A box that is slow, broken or absent; terminals that can do less."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat_tui import app as app_module
from boxplat_tui.app import BoxApp
from boxplat_tui.frame import frame, text_of
from boxplat_tui.snapshot import SnapshotTaken
from tests.tui.conftest import FakeBox, Recorder, showing, until
from tests.tui.demo import busy

anyio = pytest.mark.anyio
HEAVY = ("torch", "pandas", "numpy", "pyarrow", "sqlalchemy", "mlflow", "feast", "bentoml", "metaflow", "docker")


@anyio
async def test_a_reading_that_hangs_leaves_the_keys_alive(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        box.gate.clear()
        before = box.readings
        app.poller.wake()
        await until(pilot, lambda: box.readings > before)
        await pilot.press("2", "j")
        assert app.current_mode == "runs"
        app.later = 12.0
        await until(pilot, lambda: "no answer from the box; what you see is 12s old" in text_of(app))
        assert "TrainFlow" in text_of(app)
        app.later = 0.0
        box.gate.set()
        await until(pilot, lambda: "no answer" not in text_of(app))


@anyio
async def test_a_box_that_never_answers_leaves_the_keys_alive(box: FakeBox) -> None:
    box.gate.clear()
    async with showing(app := Recorder(box), (80, 24), answered=False) as pilot:
        app.later = 5.0
        await pilot.press("8")
        await until(pilot, lambda: "no answer from the box for" in text_of(app))
        box.gate.set()


@anyio
async def test_a_failure_shows_its_fix_keeps_the_data_and_passes(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        app.later = 7.0
        box.error = BoxError("box.db is damaged", why="malformed", fix="box doctor", code=ExitCode.PRECONDITION)
        app.poller.wake()
        await until(pilot, lambda: "box.db is damaged; what you see is 7s old" in text_of(app))
        assert "fix  box doctor" in text_of(app) and "tracking" in text_of(app)
        box.error, app.later = None, 0.0
        app.poller.wake()
        await until(pilot, lambda: "damaged" not in text_of(app))


@anyio
async def test_an_unexpected_failure_is_no_traceback(box: FakeBox) -> None:
    box.error = ZeroDivisionError()
    async with showing(app := Recorder(box), (80, 24), answered=False) as pilot:
        await until(pilot, lambda: "the box cannot be read: ZeroDivisionError" in text_of(app))


@anyio
async def test_a_failure_while_reading_a_run_is_shown_too(box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run_id: int) -> tuple[()]:
        raise OSError(5, "disk is gone")

    async with showing(app := Recorder(box), (80, 24)) as pilot:
        monkeypatch.setattr(box.history, "show", fail)
        await pilot.press("2", "enter")
        await until(pilot, lambda: "disk is gone" in text_of(app))


def test_a_burst_of_snapshots_becomes_one() -> None:
    first, second = SnapshotTaken(busy()), SnapshotTaken(busy())
    assert second.can_replace(first)


@anyio
async def test_leaving_does_not_wait_for_a_reading_that_hangs(box: FakeBox) -> None:
    box.gate.clear()
    async with showing(app := Recorder(box), answered=False) as pilot:
        await until(pilot, lambda: box.readings > 0)
    assert not app.is_running and app.poller.daemon
    box.gate.set()
    readers = [one for one in threading.enumerate() if one.name == app.poller.name]
    for one in readers:
        one.join(60)
    assert not app.poller.is_alive() and not any(one.is_alive() for one in readers)


@anyio
async def test_ascii_is_ascii_everywhere(box: FakeBox) -> None:
    async with showing(app := Recorder(box, ascii=True), (80, 24)) as pilot:
        assert "* running" in text_of(app)
        for key in (*"2345678", "question_mark", "escape", "1", "r", "escape", "D", "n", "colon"):
            await pilot.press(key)
            await pilot.pause()
            text = text_of(app)
            assert text.isascii() and len(text) > 100


@anyio
async def test_no_color_leaves_only_greys_and_every_word(box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with showing(app := Recorder(box), (80, 24)):
        colours = {
            colour.triplet
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour and colour.triplet
        }
        assert colours and all(red == green == blue for red, green, blue in colours)
        assert "✗ run 13" in text_of(app) and "● running" in text_of(app)


def test_once_is_a_frame_without_a_terminal(box: FakeBox) -> None:
    text = frame(BoxApp(box), (80, 24))
    assert "tracking" in text and len(text.splitlines()) == 24
    assert "flows/train.py" in frame(BoxApp(box), (80, 24), ("2", "enter"))


def test_once_prints_at_the_size_of_the_environment(
    box: FakeBox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "20")
    app_module.run(box, ascii=True, once=True)
    printed = capsys.readouterr().out
    assert printed.isascii() and max(map(len, printed.splitlines())) <= 60 and "tracking" in printed


def test_once_ends_with_the_error_of_the_box(box: FakeBox) -> None:
    box.error = BoxError("no box here", why="no boxplat.toml", fix="box init .", code=ExitCode.NO_BOX)
    with pytest.raises(BoxError, match="no box here") as caught:
        app_module.run(box, once=True)
    assert caught.value.code is ExitCode.NO_BOX


def test_without_a_terminal_the_error_names_the_way(box: FakeBox) -> None:
    with pytest.raises(BoxError) as caught:
        app_module.run(box)
    assert caught.value.code is ExitCode.USAGE and "--once" in caught.value.fix


def test_a_dashboard_that_fails_says_so_in_its_exit_status(box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module.terminal, "usable", lambda: True)
    monkeypatch.setattr(app_module.terminal, "end_with_server", lambda: None)
    monkeypatch.setattr(BoxApp, "run", lambda app: app.exit(return_code=1))
    with pytest.raises(BoxError, match="an error of its own") as caught:
        app_module.run(box)
    assert caught.value.code is not ExitCode.OK


def test_a_picture_is_svg(box: FakeBox) -> None:
    assert frame(BoxApp(box), (80, 24), render=lambda seen: seen.export_screenshot()).startswith("<svg")


def test_importing_the_dashboard_loads_nothing_heavy() -> None:
    code = (
        "import sys, pkgutil, boxplat_tui.app, boxplat_tui.screens as screens\n"
        "for found in pkgutil.iter_modules(screens.__path__): __import__(f'{screens.__name__}.{found.name}')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_styles_are_beside_the_code() -> None:
    assert BoxApp.CSS_PATH.is_file() and BoxApp.CSS_PATH.parent == Path(app_module.__file__).parent
