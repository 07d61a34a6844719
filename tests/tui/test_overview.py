"""The first screen: what needs somebody, what enter does about it, and a newcomer's first steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest

from boxplat.beginning import Step
from boxplat.core.model import Event, RunState, Schedule, State
from boxplat_tui.attention import attention
from boxplat_tui.format import NONE
from boxplat_tui.frame import text_of
from boxplat_tui.screens import overview
from boxplat_tui.screens.dialogs import PredictScreen
from boxplat_tui.screens.runs import RunScreen
from boxplat_tui.widgets.table import LiveTable
from tests.tui.conftest import FakeBox, Recorder, showing, until
from tests.tui.demo import NOW, busy, empty

anyio = pytest.mark.anyio
STEPS = (
    Step("have a project: flights", (), "done"),
    Step("start the box", ("up", "--detach"), "done"),
    Step("bring the data in", ("run", "flows/ingest.py"), "next"),
    Step("deploy the model as endpoint delay", ("deploy", "delay")),
    Step("ask delay for a prediction", ("predict", "delay", "{}")),
)


def advice(app: Recorder) -> LiveTable:
    return app.screen.query_one("#attention LiveTable", LiveTable)


def at(step: int) -> tuple[Step, ...]:
    """The steps, with the one of this number as the next."""
    states = ["done" if n < step else "next" if n == step else "later" for n in range(1, 6)]
    return tuple(replace(one, state=state) for one, state in zip(STEPS, states, strict=True))


@anyio
async def test_enter_does_what_is_advised(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        assert app.focused is advice(app) and "$ box logs 13" in text_of(app)
        await pilot.press("enter")
        assert isinstance(app.screen, RunScreen) and app.screen.trail == "run 13"
        await pilot.press("escape", "C")
        assert app.copied == ["box logs 13 --follow"]
        failed = replace(box.shown.services[0], state=State.FAILED, reason="exit status 1")
        box.shown = replace(box.shown, services=(failed, *box.shown.services[1:]))
        app.poller.wake()
        await until(pilot, lambda: "tracking failed: exit status 1" in text_of(app))
        assert advice(app).selected == "run/13"
        await pilot.press("g", "enter")
        assert app.front is not None and app.front.trail == "log of tracking"


@anyio
async def test_a_newcomer_is_led_step_by_step(box: FakeBox) -> None:
    box.shown, box.steps = empty(), at(2)
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await until(pilot, lambda: advice(app).selected == "step/2")
        await pilot.press("enter")
        box.steps = at(3)
        app.poller.wake()
        await until(pilot, lambda: advice(app).selected == "step/3")
        assert "✓ 2  start the box" in text_of(app) and "→ 3  bring the data in" in text_of(app)
        await pilot.press("enter")
        box.shown = replace(busy(), runs=busy().runs[:1])
        box.steps = (*STEPS[:2], replace(STEPS[2], state="doing", run=14), *STEPS[3:])
        app.poller.wake()
        await until(pilot, lambda: "◐ 3  bring the data in (run 14)" in text_of(app))
        await pilot.press("enter")
        assert isinstance(app.screen, RunScreen)
        await pilot.press("escape")
        box.steps = at(4)
        app.poller.wake()
        await until(pilot, lambda: advice(app).selected == "step/4")
        await pilot.press("enter")
        box.steps = at(5)
        app.poller.wake()
        await until(pilot, lambda: advice(app).selected == "step/5")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PredictScreen))
        await pilot.press("escape")
        assert app.asked == ["box up --detach", "box run flows/ingest.py", "box deploy delay"]
        box.steps = ()
        app.poller.wake()
        await until(pilot, lambda: "All is well" in text_of(app))
        # What nobody waits for any more gives the focus on, and is not read again.
        assert app.focused is app.screen.query_one("#services LiveTable")


@anyio
async def test_readonly_shows_the_steps_and_takes_none(box: FakeBox) -> None:
    box.steps = at(5)
    async with showing(app := Recorder(box, readonly=True), (80, 24)) as pilot:
        await until(pilot, lambda: advice(app).has("step/5"))
        for key in ("enter", "G", "enter"):
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(app.screen, PredictScreen))
            if isinstance(app.screen, RunScreen):
                await pilot.press("escape")
        assert app.asked == []


@anyio
async def test_what_starts_by_itself_is_told_with_what_is_wrong(box: FakeBox) -> None:
    plain = asdict(Schedule("flows/a.py", "AFlow", "on", cron="0 * * * *", zone="UTC", next=NOW + 720))
    wrong = {"error": "no cron", "why": "field 3 is 99", "fix": "mend it"}
    box.printed[("schedule",)] = {
        "schedules": [
            plain,
            {**plain, "name": "BFlow", "state": "paused"},
            {**plain, "name": "CFlow", "next": None, "events": ["data.came"]},
            {**plain, "name": "DFlow", "flow": "flows/d.py", "state": "refused", "next": None, "problem": wrong},
        ]
    }
    async with showing(app := Recorder(box)) as pilot:
        await until(pilot, lambda: "AFlow in 12m  BFlow paused" in text_of(app))
        assert "CFlow with data.came" in text_of(app) and "DFlow cannot start by itself: field 3" in text_of(app)
        advice(app).select("schedule/flows/d.py")
        await pilot.press("enter")
        assert app.current_mode == "queue"


@anyio
async def test_where_there_is_room_the_live_releases_are_told_and_lead_to_their_endpoint(
    box: FakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MEASURE_SECONDS", 0.0)
    async with showing(app := Recorder(box), (100, 40)) as pilot:
        live = app.screen.query_one("#live LiveTable", LiveTable)
        await until(pilot, lambda: [row[0] for row in live.texts] == ["delay #6", "delay #7"])
        await until(pilot, lambda: all(row[3] != NONE for row in live.texts))
        live.focus()
        await pilot.press("enter")
        assert app.current_mode == "endpoints"
        await pilot.press("1")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "LIVE RELEASE" not in text_of(app)


def keys(found: Iterator[object] | tuple[object, ...]) -> list[str]:
    return [one.key for one in found]  # type: ignore[attr-defined]


def test_the_latest_failure_of_a_flow_needs_attention_and_an_earlier_one_does_not() -> None:
    assert keys(attention(busy())) == ["run/13", "deploy/cancelled"]
    shown = busy()
    mended = replace(shown.runs[1], id=15, state=RunState.SUCCEEDED)
    assert keys(attention(replace(shown, runs=(mended, *shown.runs)))) == ["deploy/cancelled"]


def test_a_box_that_is_down_is_told_once() -> None:
    down = replace(empty(), supervisor=None)
    (one,) = attention(down)
    assert one.command is not None and one.command.text == "box up --detach"
    assert keys(attention(down, at(2))) == [f"step/{number}" for number in range(1, 6)]


def test_a_broken_guard_rail_is_told_for_a_day() -> None:
    breach = Event(99, NOW - 60, "delay", "guard.breached", {"number": 3, "guard": "errors", "value": 0.5})
    shown = replace(empty(), events=(breach, replace(breach, id=98)))
    (one,) = attention(shown)
    assert "delay #3 broke its guard-rail on errors" in one.headline.text
    assert one.command is not None and one.command.text == "box endpoints history delay"
    assert attention(replace(shown, at=NOW + 90_000)) == ()
