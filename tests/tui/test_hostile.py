"""Texts that mean harm: in the palette, on the clipboard, as addresses, and as words of a command."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import OptionList

from boxplat_tui import commands
from boxplat_tui.app import BoxApp
from boxplat_tui.commands import Command
from boxplat_tui.frame import text_of
from boxplat_tui.jobs import Job
from boxplat_tui.lines import clean, without_controls
from tests.tui.conftest import FakeBox, Recorder, showing, until

pytestmark = pytest.mark.anyio
MARKUP = "[@click=app.quit]q[/] [link=…"


@pytest.mark.parametrize(
    "word", ["a\nb", "it's\x1b[201~\n", "\x15rm", "\\\t'", "\u202eabc", "-x", "$(id)", "`id`", "\x7f1"]
)
def test_a_copied_command_gives_the_shell_its_words_and_the_terminal_nothing_to_obey(word: str) -> None:
    text = commands.why(word).text
    assert text.isprintable() and without_controls(text) == text
    shown = ["bash", "-c", f"box() {{ printf '%s\\0' \"$@\"; }}; {text}"]
    printed = subprocess.run(shown, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}).stdout.decode()
    assert printed.rstrip("\0").split("\0") == list(commands.why(word).words)


@pytest.mark.parametrize("make", [commands.why, commands.up, commands.restart, commands.models_show])
def test_no_name_is_read_as_an_option(make: Callable[[str], Command]) -> None:
    assert make("--help").words[-2:] == ("--", "--help") and "--" not in make("delay").words
    assert commands.predict("delay", "-5").words == ("predict", "--", "delay", "-5")


def test_what_is_typed_for_a_prediction_can_be_given_to_a_program(tmp_path: Path) -> None:
    commands.prediction_data('"\\ud800 ä"', tmp_path).encode()
    with pytest.raises(ValueError, match="too deep"):
        commands.prediction_data("[" * 100_000, tmp_path)


@given(st.text(st.characters(codec=None), max_size=99))
def test_every_text_can_be_sent_to_a_terminal(text: str) -> None:
    clean(text).encode()
    without_controls(text).encode()


async def test_a_command_that_cannot_be_started_is_over(tmp_path: Path) -> None:
    job = Job(Command(("why", "a\0b")), str(tmp_path))
    ended: list[str | None] = []
    job.changed = ended.append
    await job._work()
    assert job.over and "null" in job.outcome() and ended == [None]


async def test_the_palette_shows_markup_as_text(box: FakeBox) -> None:
    first = box.shown.endpoints[0]
    box.shown = replace(box.shown, endpoints=(replace(first, name=MARKUP, url=None), *box.shown.endpoints[1:]))
    async with showing(app := Recorder(box), (100, 40)) as pilot:
        await pilot.press("6", "ctrl+p")
        await until(pilot, lambda: f"here on {MARKUP}" in text_of(app))
        await pilot.press(*"predict")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count > 0 and "box predict" in text_of(app))
        strips = app.screen._compositor.render_strips()
        clicks = {segment.style.meta.get("@click") for strip in strips for segment in strip if segment.style}
        assert clicks <= {None} and MARKUP in text_of(app)


async def test_copies_and_addresses_are_harmless(box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(BoxApp, "open_url", lambda self, url, **_: opened.append(url))
    monkeypatch.setenv("DISPLAY", ":0")
    async with showing(app := Recorder(box)):
        app.copy("delay\x1b[201~\nrm -rf x\ud800")
        assert app.copied == ["delay[201~rm -rf x"]
        for address in ("javascript:alert(1)", "file:///etc/passwd", "--version", "", "http://127.0.0.1:5000/"):
            app.open_address(address)
        assert opened == ["http://127.0.0.1:5000/"]
