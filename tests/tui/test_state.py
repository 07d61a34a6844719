"""The dashboard on the state of real boxes: one with a past, one that is new, and one whose file is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxplat.box import Box
from boxplat.core.model import RunState
from boxplat_tui.app import BoxApp
from boxplat_tui.commands import Command
from boxplat_tui.frame import text_of
from boxplat_tui.widgets.table import LiveTable
from tests.tui.conftest import showing, until

anyio = pytest.mark.anyio


class Alone(BoxApp):
    """The dashboard, except that what it would read by commands is empty."""

    async def output(self, command: Command) -> tuple[int, bytes, bytes]:
        return 0, b'{"schema_version": 1}', b""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    Box.init(tmp_path / "box", empty=True)
    return Box(tmp_path / "box")


def lived(box: Box) -> None:
    """Runs that ended in every way, a release and their events."""
    for number, state in enumerate(RunState):
        run = box.state.runs.add("flows/train.py", "TrainFlow", {"epochs": str(number)})
        box.state.runs.update(run.id, f"run.{state.value}", state=state, error="KeyError: 'x'")
    box.state.releases.add("delay", "delay:1", "delay", 3, "delay_v1", "4be1", "ada/cli")


def test_a_snapshot_reads_again_only_what_somebody_wrote(box: Box) -> None:
    lived(box)
    first, second = box.snapshot(), box.snapshot()
    assert len(first.runs) == len(RunState) and second.runs is first.runs and second.endpoints is first.endpoints
    box.state.runs.add("flows/train.py", "TrainFlow", {})
    third = box.snapshot()
    assert len(third.runs) == len(RunState) + 1
    Box(box.root).state.runs.add("flows/train.py", "TrainFlow", {})
    assert len(box.snapshot().runs) == len(RunState) + 2 and len(box.snapshot().events) == len(third.events) + 1


@anyio
async def test_every_screen_shows_a_box_with_a_past(box: Box) -> None:
    lived(box)
    async with showing(app := Alone(box), (80, 24)) as pilot:
        seen = (
            "box up --detach",
            "TrainFlow",
            "1 Overview",
            "4 Features",
            "5 Models",
            "delay",
            "7 Lineage",
            "release.",
        )
        for key, words in zip("12345678", seen, strict=True):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in text_of(app))  # type: ignore[misc]
            assert app.failure is None and "○ not running" in text_of(app)


@anyio
async def test_every_screen_of_a_new_box_says_what_to_do(box: Box) -> None:
    async with showing(app := Alone(box), (80, 24)) as pilot:
        for key in "12345678":
            await pilot.press(key)
            await until(pilot, lambda: "box " in text_of(app) or "Nothing" in text_of(app))
            assert app.failure is None


@anyio
async def test_a_state_that_is_damaged_while_it_is_looked_at_says_what_to_do(box: Box) -> None:
    lived(box)
    async with showing(app := Alone(box), (80, 24)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: app.screen.query_one("#runs LiveTable", LiveTable).total == len(RunState))
        path = box.paths.state / "box.db"
        other = Box(box.root)
        other.state.runs.add("flows/train.py", "TrainFlow", {})
        other.state.database.settle()
        path.write_bytes(b"no database at all " * 4096)
        app.poller.wake()
        await until(pilot, lambda: "cannot be read" in text_of(app))
        assert "fix  " in text_of(app) and "TrainFlow" in text_of(app)
