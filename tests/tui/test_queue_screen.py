"""The machine, the line of runs and the schedules: what is seen, and what each key does."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxplat.box import Box
from boxplat.cli import box as command_line
from boxplat.core.claims import Claim, Lease, Priority
from boxplat.core.model import Host
from boxplat.runs.ledger import Ledger
from boxplat.runs.shares import Part, Share
from boxplat_tui.app import BoxApp
from boxplat_tui.commands import Command
from boxplat_tui.frame import text_of
from boxplat_tui.screens.logs import LogScreen
from boxplat_tui.screens.queue_rows import name_of, until
from boxplat_tui.screens.runs import RunScreen
from boxplat_tui.widgets.shares import Colours, bar, divided, legend
from boxplat_tui.widgets.table import LiveTable
from tests.tui.conftest import FakeBox, Recorder, showing
from tests.tui.conftest import until as wait
from tests.tui.demo import NOW, busy
from tests.tui.demo_queue import DEVICE, GIB, schedules

pytestmark = pytest.mark.anyio
SIZES = [(80, 24), (200, 60)]


@pytest.fixture
def box(box: FakeBox) -> FakeBox:
    box.printed[("schedule",)] = schedules(NOW)
    box.shown = replace(box.shown, host=Host(8.0, 3.0, 24 * GIB, 9 * GIB))
    return box


class Performer(BoxApp):
    """Carries its commands out at once, in this process and through the command line."""

    def _start(self, command: Command) -> None:
        with contextlib.suppress(SystemExit):
            command_line(["--project", str(self.box.root), *shlex.split(command.text)[1:]])
        self.poller.wake()

    async def output(self, command: Command) -> tuple[int, bytes, bytes]:
        return 0, b'{"schema_version": 1, "schedules": [], "problems": []}', b""


def line_of(app: BoxApp) -> list[tuple[str, ...]]:
    return table(app, "line").texts


def table(app: BoxApp, name: str) -> LiveTable:
    return app.screen.query_one(f"#{name} LiveTable", LiveTable)


@pytest.mark.parametrize("size", SIZES)
async def test_it_shows_who_has_what_who_waits_and_what_comes(box: FakeBox, size: tuple[int, int]) -> None:
    async with showing(app := Recorder(box), size) as pilot:
        await pilot.press("3")
        await wait(pilot, lambda: "NightlyFlow" in text_of(app) and bool(table(app, "line").texts))
        await pilot.pause()
        text = text_of(app)
        for words in (
            "8.3 of 139 GiB", "of 8 cores", "38 % of 8 cores", "delay@7",
            "run 14 TrainFlow fit/5", "● running", "◌ waiting", "ends 2m", "in 2h", "q Quit",
        ):  # fmt: skip
            assert words in text, words
        assert box.queue.fresh > 2, "a supervisor's measurements are good enough: this screen writes nothing"
        assert all(len(line) <= size[0] for line in text.splitlines())


async def test_the_reason_of_what_is_under_the_cursor_is_told_in_full(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("3")
        await wait(pilot, lambda: bool(table(app, "line").texts))
        await pilot.press("j", "j", "j")
        await wait(pilot, lambda: "why needs 14.0 GiB of memory, 5.6 GiB of 23.0 GiB are free;" in text_of(app))
        await wait(pilot, lambda: "RetrainFlow" in text_of(app))
        await pilot.press("tab", "G")
        await wait(pilot, lambda: "schedules.Nightly names no flow" in text_of(app))
        await wait(pilot, lambda: "in boxplat.toml" in text_of(app))


async def test_wide_screens_tell_everything_beside(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (140, 40)) as pilot:
        await pilot.press("3", "j")
        await wait(pilot, lambda: "asked    1 core, 8.0 GiB, GPU 1 x 9.0 GiB" in text_of(app))
        text = text_of(app)
        for words in ("uses     2.0 GiB of memory, 6.0 GiB on its", "takes    about 3m 0s", "Xorg", "6.0 of 9.0 GiB"):
            assert words in text
        await wait(pilot, lambda: "RetrainFlow" in text_of(app))
        await pilot.press("tab", "j")
        await wait(pilot, lambda: "came     data.ready" in text_of(app))
        await pilot.press("tab", "enter")
        await wait(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.trail == "run 14")
        await pilot.press("escape", "G", "enter")
        assert app.front is app.screen and app.screen.trail == "", "a process of others leads nowhere"


ASKED = (
    ("j j j h", ["box queue hold 15"]),
    ("j h", ["box queue release 16"]),
    ("K", ["box queue move 16 --up"]),
    ("J", ["box queue move 16 --down"]),
    ("F", ["box queue move 16 --first"]),
    ("L", ["box queue move 16 --last"]),
    ("x y", ["box cancel 16"]),
    ("x n", []),
    ("g h x K", []),
    ("r enter", ["box run flows/ingest.py"]),
    ("p", []),
    ("tab p", ["box schedule pause flows/nightlyflow.py"]),
    ("r", ["box schedule run-now flows/nightlyflow.py"]),
    ("j p", ["box schedule resume flows/retrainflow.py"]),
    ("h x K", []),
)


async def test_a_key_asks_for_its_command(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("3")
        await wait(pilot, lambda: "NightlyFlow" in text_of(app) and bool(table(app, "line").texts))
        for keys, asked in ASKED:
            app.asked.clear()
            await pilot.press(*keys.split())
            await pilot.pause()
            assert app.asked == asked, keys


async def test_readonly_leaves_the_line_alone(box: FakeBox) -> None:
    async with showing(app := Recorder(box, readonly=True), (80, 24)) as pilot:
        await pilot.press("3")
        await wait(pilot, lambda: "NightlyFlow" in text_of(app) and bool(table(app, "line").texts))
        await pilot.press("j", *"hKJFLx", "tab", *"pr")
        await pilot.pause()
        assert app.asked == [] and "Hold" not in text_of(app)


async def test_a_run_is_revealed_by_its_number_and_opened(box: FakeBox) -> None:
    async with showing(app := Recorder(box)) as pilot:
        await pilot.press("3")
        app.reveal("queue", "16")
        await wait(pilot, lambda: table(app, "line").selected == "16")
        await pilot.press("c", "C")
        assert app.copied == ["16", "box queue"]
        app.reveal("queue", "14")
        await wait(pilot, lambda: table(app, "line").selected == "run/14/fit/5")
        await pilot.press("l")
        await wait(pilot, lambda: isinstance(app.screen, LogScreen))
        assert app.screen.trail == "log of run 14"


async def test_without_a_device_cores_and_memory_are_shown(box: FakeBox) -> None:
    line = box.queue.line
    box.queue.line = replace(line, capacity=replace(line.capacity, devices=()), places=())
    box.printed[("schedule",)] = {"schedules": [], "problems": []}
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("3")
        await wait(pilot, lambda: "8.3 of 139 GiB" in text_of(app) and "━" in text_of(app))
        await wait(pilot, lambda: "Nothing runs and nothing waits. Run a flow: r" in text_of(app))
        await wait(pilot, lambda: "give one @schedule or @trigger" in text_of(app))
        box.shown = replace(box.shown, gpus=(), gpu_note="no NVIDIA GPU here")
        app.poller.wake()
        await wait(pilot, lambda: "no NVIDIA GPU here" in text_of(app))
        for words in ("38 % of 8 cores", "3.0 of 23 GiB", "servers 741 MiB", "20 GiB free"):
            assert words in text_of(app)


async def test_eight_devices_have_a_line_each(box: FakeBox) -> None:
    line, one = box.queue.line, box.shown.gpus[0]
    devices = tuple(replace(DEVICE, uuid=f"GPU-{number}", index=number) for number in range(8))
    box.queue.line = replace(line, capacity=replace(line.capacity, devices=devices))
    box.shown = replace(box.shown, gpus=tuple(replace(one, index=number, uuid=f"GPU-{number}") for number in range(8)))
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("3")
        await wait(pilot, lambda: "delay@7" in text_of(app))
        shown = [text for text in text_of(app).splitlines() if text.startswith(" GPU ") and "139 GiB" in text]
        assert len(shown) == 8 and "ends 2m" in text_of(app)
        slices = tuple(
            replace(DEVICE, uuid=f"MIG-{number}", name="NVIDIA H200 MIG 3g.71gb", memory=71 * GIB, slice=True)
            for number in range(2)
        )
        box.shown = replace(box.shown, gpus=(one,))
        box.queue.line = replace(line, capacity=replace(line.capacity, devices=slices))
        await wait(pilot, lambda: text_of(app).count(" 3g.71gb ") == 2)


async def test_hostile_and_wide_names_stay_in_their_place(box: FakeBox) -> None:
    name = "航班" * 40 + "\x1b[2J\u202e[bold]x\n\x07"
    box.shown = replace(box.shown, runs=tuple(replace(run, name=name) for run in box.shown.runs))
    told = schedules(NOW)
    for one in told["schedules"]:  # type: ignore[attr-defined]
        one["name"] = name
    box.printed[("schedule",)] = told
    line = box.queue.line
    box.queue.line = replace(line, places=tuple(replace(one, why=name * 20) for one in line.places))
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        for size in ((140, 40), (40, 10)):
            await pilot.resize_terminal(*size)
            await pilot.press("3", "j")
            await wait(pilot, lambda: bool(table(app, "starts").texts))
            text = text_of(app)
            assert not any(bad in text for bad in ("\x1b", "\u202e", "\x07")) and len(text.splitlines()) <= size[1]


# The bar of parts.


@given(st.lists(st.floats(0, 1e12), max_size=9), st.floats(0, 1e12), st.integers(0, 120))
def test_a_bar_fills_its_width_and_hides_nobody(values: list[float], total: float, width: int) -> None:
    cells = divided(values, total, width)
    assert sum(cells) == width and min(cells) >= 0
    there = [count for value, count in zip(values, cells, strict=False) if value > 0]
    if width >= len(there):
        assert all(there)


def test_parts_have_their_share_of_the_cells() -> None:
    assert divided([50, 25], 100, 8) == [4, 2, 2]
    assert divided([1, 1, 1], 3, 10) in ([4, 3, 3, 0], [3, 4, 3, 0], [3, 3, 4, 0])
    assert divided([1e-9, 99], 100, 4) == [1, 3, 0]
    assert divided([150, 50], 100, 8) == [6, 2, 0], "more than there is"
    assert divided([], 0, 5) == [5]


@given(st.lists(st.lists(st.sampled_from("abcdefghi"), unique=True), max_size=12))
def test_an_owner_keeps_its_colour_and_no_two_have_one(rounds: list[list[str]]) -> None:
    colours, before = Colours(), dict[str, object]()
    for owners in rounds:
        colours.follow([*owners, "others"])
        now = {owner: colours.of(owner) for owner in owners}
        assert all(now[owner] == before[owner] for owner in now.keys() & before.keys())
        assert all(now[one] != now[two] for one, two in itertools.combinations(owners, 2))
        before = now


def test_a_bar_and_its_legend_tell_used_promised_and_free() -> None:
    share = Share("memory", "memory", 8 * GIB, 4 * GIB, (Part("run/1", GIB, 2 * GIB), Part("others", GIB)))
    colours = Colours()
    colours.follow(["run/1"])
    assert "".join(cell.text for cell in bar(share, colours, 8)) == "█▂▂░····"
    told = legend(share, colours, {"run/1": "run 1 Train"}, {}, 80).plain
    assert told == "█ run 1 Train 1.0 of 3.0 GiB  ░ others 1.0 GiB  · 4.0 GiB free"
    narrow = legend(share, colours, {"run/1": "run 1 Train"}, {}, 58).plain
    assert narrow == "█ run 1 Train 1.0 GiB  ░ others 1.0 GiB  · 4.0 GiB free"
    assert legend(share, colours, {"run/1": "航" * 40}, {}, 40).plain == "+2 more  · 4.0 GiB free"


def test_owners_have_words(box: FakeBox) -> None:
    runs = {run.id: run for run in busy().runs}
    words = {
        "run/14": "run 14 TrainFlow",
        "run/14/fit/5": "run 14 TrainFlow fit/5",
        "run/99": "run 99",
        "service/delay@7": "delay@7",
        "box": "servers",
        "others": "others",
        "odd": "odd",
    }
    assert {owner: name_of(owner, runs) for owner in words} == words


def test_an_estimate_that_has_passed_is_soon(box: FakeBox) -> None:
    running, waiting = box.queue.line.places[1], box.queue.line.places[2]
    assert [until(running, NOW), until(running, NOW + 500), until(waiting, NOW + 500)] == [
        "ends 2m", "ends soon", "starts soon",
    ]  # fmt: skip


async def test_real_runs_are_held_and_moved(tmp_path: Path) -> None:
    (tmp_path / "boxplat.toml").write_text("")
    real = Box(tmp_path)
    for name in ("One", "Two", "Three"):
        real.state.runs.add(f"flows/{name}.py", name, {})
    lease = Ledger(real.state.database).ask("service/delay@7", Claim(0, 64 * 2**20, priority=Priority.SERVING))
    assert isinstance(lease, Lease)
    app = Performer(real)
    async with showing(app, (80, 24)) as pilot:
        await pilot.press("3")
        await wait(
            pilot, lambda: [row[0] for row in line_of(app)] == ["delay@7", "run 1 One", "run 2 Two", "run 3 Three"]
        )
        assert "why the box is not running" not in text_of(app)
        await pilot.press("G")
        await wait(pilot, lambda: "why the box is not running" in text_of(app))
        await pilot.press("K")
        await wait(pilot, lambda: [row[0] for row in line_of(app)][1:] == ["run 1 One", "run 3 Three", "run 2 Two"])
        assert table(app, "line").selected == "3"
        await pilot.press("h")
        await wait(pilot, lambda: [row[1] for row in line_of(app)][2:] == ["■ held", "◌ queued"])
        await pilot.press("h")
        await wait(pilot, lambda: [row[1] for row in line_of(app)][2:] == ["◌ queued", "◌ queued"])
    assert [event.kind for event in real.events() if event.subject == "run/3"][-3:] == [
        "run.moved", "run.held", "run.released",
    ]  # fmt: skip
