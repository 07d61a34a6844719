"""The audit log on its screen: page by page, searched to its beginning, followed, and left for what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from boxplat.core.model import Event
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat_tui.eventlog import PAGE, SPAN, Asked, EventPages, spelled, typed
from boxplat_tui.frame import text_of
from boxplat_tui.screens.ask import AskScreen
from boxplat_tui.screens.events import EventsScreen
from boxplat_tui.screens.logs import LogScreen
from boxplat_tui.widgets.table import LiveTable
from tests.tui import conftest
from tests.tui.conftest import FakeBox, Recorder, showing, until

anyio = pytest.mark.anyio
COUNT = 3 * SPAN + 17


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateStore]:
    root: Path = tmp_path_factory.mktemp("many")
    (root / "boxplat.toml").write_text('[project]\nname = "many"\n')
    store = StateStore.open(Paths(root))
    with store.database.write() as tx:
        rows = (
            (
                1_790_000_000.0 + number,
                f"run/{number // 4}",
                ("run.queued", "run.failed")[number % 2],
                f'{{"n": {number}}}',
            )
            for number in range(1, COUNT + 1)
        )
        tx.connection.executemany("insert into event (at, subject, kind, data) values (?, ?, ?, ?)", rows)
    yield store
    store.close()


class LongBox(FakeBox):
    """A fake whose audit log is a real and long one."""

    def __init__(self, root: Path, state: StateStore) -> None:
        super().__init__(root)
        self.events = state.events.all  # type: ignore[method-assign]
        self.event_since = state.events.since  # type: ignore[method-assign]


@pytest.fixture
def long(tmp_path: Path, state: StateStore) -> LongBox:
    return LongBox(tmp_path, state)


def whole(box: FakeBox, asked: Asked) -> tuple[list[int], int]:
    """The ids of a page that is read to its end, and how many readings that took."""
    pages = EventPages()
    for readings in range(1, 100):
        page = pages.read(box, asked)
        if page.whole:
            return [one.id for one in page.events], readings
    raise AssertionError("it never came to an end")


def test_a_filter_is_typed_in_words_and_spelled_back() -> None:
    for text in ("subject=run/13 kind=run.failed any=thing else", "kind=run", "a  b", "", "!fine", "subject=x"):
        assert spelled(typed(text)) == text
    assert typed("a subject=run/1 b") == Asked("run/1", "", "a b")
    assert typed("kind=run.failed gone").command.text == "box events --kind run.failed --match gone"


def test_pages_go_back_to_the_first_event_without_a_gap(long: LongBox) -> None:
    asked, seen = Asked(), []
    for _ in range(3):
        ids, readings = whole(long, asked)
        assert readings == 1 and len(ids) == PAGE
        seen += ids
        asked = replace(asked, before=ids[-1])
    assert seen == list(range(COUNT, COUNT - 3 * PAGE, -1))
    assert whole(long, Asked(before=3)) == ([2, 1], 1)


def test_a_search_looks_at_a_bounded_part_at_a_time_and_reaches_the_beginning(long: LongBox) -> None:
    ids, readings = whole(long, Asked(match=r"n=7\b"))
    assert ids == [7] and readings == -(-COUNT // SPAN)
    assert whole(long, Asked(match="nowhere"))[0] == []
    assert whole(long, Asked(subject="run/2")) == ([11, 10, 9, 8], 1)
    ids, _ = whole(long, Asked(kind="run.failed", match="!n=5"))
    assert len(ids) == PAGE and all(number % 2 for number in ids)


def test_a_moment_is_found_and_what_comes_belongs_to_the_newest_page_only(long: LongBox, state: StateStore) -> None:
    (ids, _), at = whole(long, Asked(at=1_790_000_000.0 + 500)), Asked(at=1_790_000_000.0 + 500)
    assert 500 in ids and ids[0] < 530
    pages, old = EventPages(), EventPages()
    before, past = pages.read(long, Asked(match="news")), old.read(long, at)
    while not before.whole:
        before = pages.read(long, Asked(match="news"))
    new = state.events.append("run/1", "run.failed", {"n": "news"})
    state.events.append("run/1", "run.failed", {"n": "old hat"})
    assert [one.id for one in pages.read(long, Asked(match="news")).events] == [new]
    assert old.read(long, at) == past


class Auditor(Recorder):
    """Begins at the events, which spares each test another screen."""

    DEFAULT_MODE = "events"


def under_cursor(app: Recorder) -> str:
    """The number of the event under the cursor; empty while another screen is still in front."""
    return (table(app).selected or "") if isinstance(app.screen, EventsScreen) else ""


def table(app: Recorder) -> LiveTable:
    return app.screen.query_one("#events LiveTable", LiveTable)


@anyio
async def test_pages_are_turned_and_a_filter_reaches_the_oldest(long: LongBox) -> None:
    async with showing(app := Auditor(long), (80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).texts) == PAGE)
        first = table(app).selected
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: table(app).selected == str(int(first or 0) - PAGE))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: table(app).selected == first and "[ newer" not in text_of(app))
        await pilot.press("slash")
        await conftest.typed(pilot, r"n=7\b")
        await until(pilot, lambda: [row[2] for row in table(app).texts] == ["run/1"])
        await pilot.press("enter", "C")
        assert app.copied == [r"box events --match 'n=7\b'"] and "number   7" in text_of(app)
        await pilot.press("slash")
        await conftest.typed(pilot, "nowhere")
        await until(pilot, lambda: "Nothing that ever happened passes the filter" in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: len(table(app).texts) == PAGE)


@anyio
async def test_only_this_subject_only_this_kind_and_escape(long: LongBox) -> None:
    async with showing(app := Auditor(long), (140, 40)) as pilot:
        await until(pilot, lambda: len(table(app).texts) == PAGE)
        await pilot.press("G", "a")
        await until(pilot, lambda: len(table(app).texts) == 4)
        subject = table(app).texts[0][2]
        assert f"subject={subject}" in text_of(app)
        await pilot.press("A")
        await until(pilot, lambda: len(table(app).texts) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: len(table(app).texts) == PAGE)


@anyio
async def test_a_time_is_gone_to_and_a_wrong_one_is_told(long: LongBox) -> None:
    async with showing(app := Auditor(long), (80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).texts) == PAGE)
        for text in ("yesterday-ish", "2026-09-21T13:34:20+00:00"):
            await pilot.press("w")
            await conftest.typed(pilot, text)
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(app.screen, AskScreen))
        assert any("is no time" in said for said in app.told)
        await until(pilot, lambda: 0 < len(table(app).texts) < PAGE)
        assert "[ newer" in text_of(app) and table(app).texts[-1][0].startswith("09-")
        await pilot.press("f")
        await until(pilot, lambda: app.screen.trail == "following" and len(table(app).texts) >= PAGE)


@anyio
async def test_an_event_leads_to_what_it_is_about_its_log_and_its_lineage(box: FakeBox) -> None:
    told = (("delay@7", "endpoints"), ("schedule", "queue"))
    async with showing(app := Auditor(box), (80, 24)) as pilot:
        for number, (subject, mode) in enumerate(told, 100):
            box.shown = replace(box.shown, events=(*box.shown.events, Event(number, 1.79e9, subject, "a.b", {})))
            await pilot.press("8", "f")
            await until(pilot, lambda number=number: under_cursor(app) == str(number))  # type: ignore[misc]
            await pilot.press("f", "enter")
            assert app.current_mode == mode, subject
            await until(pilot, lambda mode=mode: app.screen.MODE == mode)  # type: ignore[misc]
            await pilot.pause()
        await pilot.press("8", "t")
        assert app.current_mode == "events", "a schedule has no lineage"
        box.shown = replace(box.shown, events=(*box.shown.events, Event(200, 1.79e9, "run/12", "run.failed", {})))
        await pilot.press("f")
        await until(pilot, lambda: under_cursor(app) == "200")
        await pilot.press("t")
        assert app.current_mode == "lineage" and app.screen.trail == "run/12"
        await pilot.press("8", "l")
        assert isinstance(app.screen, LogScreen) and app.screen.trail == "log of run 12"


@anyio
async def test_data_of_an_event_is_shown_whole_and_harmless(box: FakeBox) -> None:
    data = {"why": "航班" * 60 + "\x1b[2J[bold]", "gates": {"auc": {"passed": True}}, "none": None}
    box.shown = replace(box.shown, events=(Event(1, 1.79e9, "x" * 90, "k" * 90, data),))
    async with showing(app := Auditor(box), (140, 40)) as pilot:
        await until(pilot, lambda: "gates" in text_of(app))
        assert "{'passed': True}" in text_of(app) and "\x1b" not in text_of(app) and "[bold]" in text_of(app)
        await pilot.press("enter")
        assert isinstance(app.front, EventsScreen | LogScreen)
