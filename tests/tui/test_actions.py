"""Whatever changes something is a `box` command, and a dangerous one asks first."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from textual.widgets import Input, OptionList, TextArea

from boxplat_tui import process
from boxplat_tui.app import BoxApp
from boxplat_tui.commands import Command
from boxplat_tui.frame import text_of
from boxplat_tui.jobs import Job
from boxplat_tui.screens.dialogs import ConfirmScreen, FlowScreen, JobScreen
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until

pytestmark = pytest.mark.anyio


ASKED = (
    ("u", ["box up --detach"]),
    ("tab u", ["box up tracking"]),
    ("R", ["box restart tracking"]),
    ("D y", ["box down tracking"]),
    ("D n", []),
    ("D escape", []),
    ("r enter", ["box run flows/ingest.py"]),
    ("r down enter", ["box run flows/train.py --param epochs=12 --param seeds=3"]),
    ("r escape", []),
    ("2 x y", ["box cancel 14"]),
    ("j x", []),
    ("k r enter", ["box run flows/train.py --param epochs=12 --param seeds=3"]),
    ("enter x y escape", ["box cancel 14"]),
    ("6 d enter", ["box deploy delay"]),
    ("U y", ["box undeploy delay"]),
    ("p ctrl+s", ["box predict delay '{}'"]),
)


async def test_a_key_asks_for_its_command(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        for keys, asked in ASKED:
            app.asked.clear()
            await pilot.press(*keys.split())
            await pilot.pause()
            assert app.asked == asked, keys


async def test_a_dangerous_command_says_its_effect_and_its_spelling(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("2", "x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.pause()
        assert "This ends run 14 (TrainFlow)" in text_of(app) and "$ box cancel 14" in text_of(app)


async def test_parameters_are_edited_and_the_command_is_shown(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("r", "down")
        await until(pilot, lambda: isinstance(app.screen, FlowScreen))
        assert "parameters: epochs" in text_of(app)
        app.screen.query_one("#params", Input).value = "epochs"
        await pilot.pause()
        assert "'epochs' is not of the form name=value" in text_of(app)
        await pilot.press("enter")
        assert app.asked == [] and isinstance(app.screen, FlowScreen)
        field = app.screen.query_one("#params", Input)
        field.value = "epochs=2"
        await pilot.pause()
        field.cursor_position = len(field.value)
        assert "$ box run flows/train.py --param epochs=2" in text_of(app)
        await pilot.press("tab", "0", "enter")
        assert app.asked == ["box run flows/train.py --param epochs=20"], "what was there is changed, not taken away"


async def test_what_is_typed_goes_behind_the_parameters_of_the_last_run(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("r", "down")
        await until(pilot, lambda: isinstance(app.screen, FlowScreen))
        await until(pilot, lambda: app.screen.query_one("#params", Input).value == "epochs=12 seeds=3")
        await pilot.press("tab", "0", "enter")
        assert app.asked == ["box run flows/train.py --param epochs=12 --param seeds=30"]


async def test_a_flow_that_is_gone_can_still_be_chosen_again(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "j", "r")
        await until(pilot, lambda: isinstance(app.screen, FlowScreen))
        await pilot.press("enter")
        assert app.asked == ["box run flows/score.py --param month=12"]


async def test_no_flow_at_all_is_said(box: FakeBox) -> None:
    for path in (box.root / "flows").iterdir():
        path.unlink()
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: "There is no flow here yet" in text_of(app))
        await pilot.press("enter")
        assert app.asked == [] and not app.screen.query(OptionList)


async def test_a_prediction_starts_from_the_projects_example_and_is_remembered(box: FakeBox) -> None:
    (box.root / ".box" / "data").mkdir(parents=True)
    (box.root / ".box" / "data" / "example_request.json").write_text("{}")
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("6", "p")
        await until(pilot, lambda: "$ box predict delay @.box/data/example_request.json" in text_of(app))
        app.screen.query_one(TextArea).text = "{"
        await until(pilot, lambda: "not JSON yet" in text_of(app))
        await pilot.press("ctrl+s")
        assert app.asked == []
        app.screen.query_one(TextArea).text = '{"n": 1}'
        await pilot.press("ctrl+s", "p")
        assert app.asked == ["box predict delay '{\"n\": 1}'"]
        await until(pilot, lambda: bool(app.screen.query(TextArea)))
        assert app.screen.query_one(TextArea).text == '{"n": 1}'


async def test_readonly_has_no_way_to_change_anything(box: FakeBox) -> None:
    async with showing(app := Recorder(box, readonly=True), (80, 24)) as pilot:
        for key in ("u", "D", "R", "r", "2", "x", "r", "6", "d", "U", "p", "enter"):
            await pilot.press(key)
            assert not isinstance(app.screen, ConfirmScreen | FlowScreen)
        assert app.asked == [] and "Deploy" not in text_of(app)
        await pilot.press("colon")
        await typed(pilot, "box ")
        await until(pilot, lambda: "box status" in text_of(app))
        assert "box up" not in text_of(app) and "box run …" not in text_of(app)


@pytest.mark.parametrize(("opener", "words"), [("colon", "features mat"), ("ctrl+p", "online store")])
async def test_the_palette_finds_a_verb_by_spelling_or_meaning(box: FakeBox, opener: str, words: str) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press(opener)
        await typed(pilot, words)
        await until(pilot, lambda: "box features materialize" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.asked == ["box features materialize"])


async def test_ids_and_commands_are_copied(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("2", "j", "c", "C", "6", "c")
        assert app.copied == ["13", "box run flows/score.py --param month=12", "http://127.0.0.1:3000"]


class Scripted(Command):
    """A command whose child is a few lines of Python."""

    def argv(self, root: str) -> list[str]:
        return [sys.executable, "-c", self.words[-1]]


async def test_a_child_is_read_line_by_line_and_its_status_counts(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys, os; print('out', flush=True); print('err', file=sys.stderr); print(os.getcwd()); sys.exit(7)"
    assert await process.run([sys.executable, "-c", code], str(tmp_path), lines.append) == 7
    assert sorted(lines) == sorted(["out", "err", str(tmp_path)])


async def test_a_daemon_that_keeps_the_pipe_open_does_not_hold_the_command_up(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True); print(p.pid)"
    )
    lines: list[str] = []
    assert await process.run([sys.executable, "-c", code], str(tmp_path), lines.append) == 0
    daemon = psutil.Process(int(lines[0]))
    assert daemon.is_running()
    daemon.kill()


def ended(child: psutil.Process) -> bool:
    """Also where nobody has taken note of its end yet."""
    try:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_cancelling_ends_the_whole_process_group(box: FakeBox) -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        " print(p.pid, flush=True); time.sleep(60)"
    )
    async with showing(app := Recorder(box)) as pilot:
        job = Job(Scripted((code,)), str(box.root))
        job.start()
        await until(pilot, lambda: bool(job.lines))
        grandchild = psutil.Process(int(job.lines[0]))
        job.cancel()
        await until(pilot, lambda: job.over)
        assert job.outcome() == "■ cancelled"
        await until(pilot, lambda: ended(grandchild))
        assert app.is_running


class Performer(Recorder):
    """Runs its commands for real."""

    _start = BoxApp._start


async def test_output_stays_when_it_is_the_point_and_a_failure_always_stays(box: FakeBox) -> None:
    async with showing(app := Performer(box), (80, 24)) as pilot:
        app.perform(Scripted(("print('answer 42')",), keep=True))
        await until(pilot, lambda: "✓ done" in text_of(app))
        assert "answer 42" in text_of(app)
        await pilot.press("escape")
        app.perform(Scripted(("import sys; sys.exit('error: no such flow')",)))
        await until(pilot, lambda: "✗ failed with exit status 1" in text_of(app))
        assert "error: no such flow" in text_of(app)
        await pilot.press("enter")
        assert not isinstance(app.screen, JobScreen)


async def test_a_success_closes_itself_and_is_told(box: FakeBox) -> None:
    async with showing(app := Performer(box), (80, 24)) as pilot:
        app.perform(Scripted(("print('run 15 is queued')",)))
        await until(pilot, lambda: bool(app.told))
        assert app.told == ["run 15 is queued"]
        await until(pilot, lambda: not isinstance(app.screen, JobScreen))


async def test_escape_cancels_what_runs_and_enter_lets_it_run_on(box: FakeBox) -> None:
    wait = "import time; print('working', flush=True); time.sleep(60)"
    async with showing(app := Performer(box), (80, 24)) as pilot:
        app.perform(Scripted((wait,)))
        await until(pilot, lambda: "working" in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: "■ cancelled" in text_of(app))
        await pilot.press("escape")
        app.perform(Scripted(("print('done later')",)))
        await pilot.press("enter")
        await until(pilot, lambda: any("done later" in said for said in app.told))
