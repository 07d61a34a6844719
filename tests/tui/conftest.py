"""A box that stands still, and the dashboard on it without a terminal."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import textual.app
import textual.pilot
from textual._wait import wait_for_idle
from textual.pilot import Pilot
from textual.widgets import Input

from boxplat.beginning import Step
from boxplat.core.errors import not_found
from boxplat.core.model import Event, Snapshot
from boxplat.core.patterns import matcher
from boxplat_tui.app import BoxApp
from boxplat_tui.commands import Command
from tests.tui.demo import NOW, busy
from tests.tui.demo_endpoints import FakeEndpoints
from tests.tui.demo_models import FakeModels
from tests.tui.demo_queue import FakeQueue
from tests.tui.demo_runs import PastRuns

PATIENCE = 60.0


class FakeBox(PastRuns):
    """Gives out `shown`; `error` is raised instead, and `gate` holds every reading up while it is cleared.

    `printed` is what `box WORDS --json` prints, by its words without `--json`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown: Snapshot = busy(root=str(root))
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.readings = 0
        super().__init__(lambda: self.shown.runs)
        self.models = FakeModels()
        self.endpoints = FakeEndpoints()
        self.queue = FakeQueue(NOW)
        self.steps: tuple[Step, ...] = ()
        self.log = root / "some.log"
        self.printed: dict[tuple[str, ...], dict[str, object]] = {}

    def snapshot(self) -> Snapshot:
        self.readings += 1
        self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.shown

    def beginning(self) -> tuple[Step, ...]:
        return self.steps

    def events(
        self,
        after: int = 0,
        subject: str | None = None,
        limit: int = 200,
        before: int | None = None,
        kind: str | None = None,
        match: str = "",
    ) -> list[Event]:
        found = [one for one in self.shown.events if one.id > after and (before is None or one.id < before)]
        found = [one for one in found if subject in (None, one.subject) and f"{one.kind}.".startswith(f"{kind or ''}")]
        passes = matcher(match)
        return [one for one in found if passes(f"{one.kind} {one.subject} {one.data}")][-limit:]

    def event_since(self, moment: float) -> int:
        return next((one.id for one in self.shown.events if one.at >= moment), 0)

    def log_path(self, subject: str) -> Path:
        if subject == "nobody":
            raise not_found("service or run", subject, ["tracking"], "box status")
        return self.log


class Recorder(BoxApp):
    """The dashboard, except that its commands are noted and not run."""

    def __init__(self, box: FakeBox, **options: bool) -> None:
        self.later = 0.0
        super().__init__(box, clock=lambda: NOW + self.later, **options)
        self.asked: list[str] = []
        self.copied: list[str] = []
        self.read: list[str] = []
        self.told: list[str] = []

    def _start(self, command: Command) -> None:
        self.asked.append(command.text)

    async def output(self, command: Command) -> tuple[int, bytes, bytes]:
        self.read.append(command.text)
        assert isinstance(self.box, FakeBox)
        found = self.box.printed.get(command.words[:-1], {})
        return int(str(found.get("code", 0))), json.dumps({"schema_version": 1, **found}).encode(), b""

    def notify(self, message: str, **options: Any) -> None:
        # What is told is gone from the screen after some seconds.
        self.told.append(message)
        super().notify(message, **options)

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pilot goes on when the event loop has nothing left to do.

    Textual's own takes a process that hardly computes for one that is done; on a busy machine it may just not get to.
    """

    async def idle(min_sleep: float = 0.02, max_sleep: float = 1.0) -> None:
        await quiet()
        await wait_for_idle(min_sleep, max_sleep)
        await quiet()

    monkeypatch.setattr(textual.pilot, "wait_for_idle", idle)
    monkeypatch.setattr(textual.app, "wait_for_idle", idle)


async def quiet() -> None:
    """Let the event loop do all that it can do now."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    idle, end = 0, time.monotonic() + PATIENCE
    while idle < 3 and time.monotonic() < end:
        await asyncio.sleep(0)
        idle = 0 if ready else idle + 1


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "ingest.py").write_text("class IngestFlow(FlowSpec):\n    pass\n")
    (tmp_path / "flows" / "train.py").write_text(
        "class TrainFlow(FlowSpec):\n    epochs = Parameter('epochs', default=1)\n"
    )
    (tmp_path / "flows" / "shared.py").write_text("ONE = 1\n")
    return FakeBox(tmp_path)


async def until(pilot: Pilot[str], condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Let the app work until `condition` holds."""
    for _ in range(round(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError("this never came true")


async def typed(pilot: Pilot[str], text: str) -> None:
    """Put `text` into the field that has the focus; a key at a time would take seconds."""
    await until(pilot, lambda: isinstance(pilot.app.focused, Input))
    field = pilot.app.focused
    assert isinstance(field, Input)
    field.value = text
    await pilot.pause()


@asynccontextmanager
async def showing(
    app: BoxApp, size: tuple[int, int] = (100, 30), *, answered: bool = True
) -> AsyncIterator[Pilot[str]]:
    """The app at a size, with its first snapshot shown unless the box does not answer."""
    async with app.run_test(size=size, notifications=True) as pilot:
        if answered:
            await until(pilot, lambda: app.latest is not None)
            await pilot.pause()
        yield pilot
