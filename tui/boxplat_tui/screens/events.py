"""The audit log: all of it, page by page, filtered, and followed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import DataTable, Input

from boxplat.core.errors import BoxError
from boxplat.core.model import Event, Snapshot
from boxplat.serving.log.asking import moment
from boxplat_tui import commands, eventlog
from boxplat_tui.commands import Command
from boxplat_tui.eventlog import Asked, EventPages, Page
from boxplat_tui.format import moment as said_moment
from boxplat_tui.glyphs import Cell
from boxplat_tui.screens import rows
from boxplat_tui.screens.ask import AskScreen
from boxplat_tui.screens.base import SubjectScreen
from boxplat_tui.screens.logs import LogsScreen
from boxplat_tui.widgets.bars import FilterBar, Line, assemble
from boxplat_tui.widgets.facts import Facts
from boxplat_tui.widgets.table import Listing

_PLACES = {"model": "models", "models": "models", "sweep": "runs", "schedule": "queue", "features": "features"}
_WHEN = (("10m", "ten minutes ago"), ("1h", "an hour ago"), ("1d", "yesterday"), ("7d", "a week ago"))


class PageRead(Message):
    """A page of events, as far as it is read. Posted from the reading thread."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, PageRead)


class EventsScreen(SubjectScreen):
    """What happened, the newest first."""

    MODE = "events"
    HELP = (
        "The audit log, from now back to the first event. Enter goes to what an event is about; ] and [ turn the page; "
        "a and A keep only this subject, this kind; / filters everything that ever happened: words of it, "
        "subject=run/12, kind=run.failed; f follows what happens now."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "older", "Older", key_display="]"),
        Binding("left_square_bracket", "newer", "Newer", show=False, key_display="["),
        Binding("f", "follow", "Follow"),
        Binding("l", "log", "Log"),
        Binding("L", "logs", "All logs"),
        Binding("a", "only('subject')", "Only of this subject", show=False),
        Binding("A", "only('kind')", "Only of this kind", show=False),
        Binding("w", "when", "Go to a time", show=False),
        Binding("t", "trace", "Lineage", show=False),
    ]
    following = False

    def __init__(self) -> None:
        super().__init__()
        self._asked = Asked()
        self._above: list[Asked] = []
        self._pages = EventPages()
        self._page = Page(self._asked)
        self._drawn: Page | None = None

    def body(self) -> ComposeResult:
        yield Line("page")
        with Container(id="log-of-events"):
            yield Listing(rows.ALL_EVENTS, "Nothing has happened yet.", "events")
            yield Facts("event")

    def read(self) -> None:
        page = self._pages.read(self.box_app.box, self._asked)
        self.post_message(PageRead(page))
        if not page.whole:
            self.box_app.poller.wake()

    def on_page_read(self, message: PageRead) -> None:
        if message.page.asked == self._asked and message.page != self._page:
            self._page = message.page
            self.take()

    def show(self, snapshot: Snapshot) -> None:
        listing = self.query_one(Listing)
        if self._page is not self._drawn:
            self._drawn = self._page
            listing.show(rows.all_events(self._page.events), self._empty())
        if self.following:
            listing.table.move_cursor(row=0, animate=False)
        self.query_one("#page", Line).say(assemble(self.tones, *self._heading()))
        self._tell()

    @property
    def trail(self) -> str:
        return "following" if self.following else ""

    def _heading(self) -> list[Cell]:
        page, asked = self._page, self._asked
        parts = []
        if page.events:
            first, last = page.events[-1], page.events[0]
            parts.append(Cell(f"#{first.id:,} to #{last.id:,} of {page.latest:,}"))
            parts.append(Cell(f"  since {said_moment(first.at)[5:16]}", "muted"))
        if not page.whole and page.reached:
            parts.append(Cell(f"  looking back: #{page.reached:,} …", "busy"))
        if self._above or not asked.newest:
            parts.append(Cell("  [ newer", "muted"))
        if page.older:
            parts.append(Cell("  ] older", "muted"))
        return parts

    def _empty(self) -> str:
        if not self._page.whole:
            return "Looking …"
        if eventlog.spelled(self._asked):
            return "Nothing that ever happened passes the filter. Escape clears it."
        return "Nothing has happened yet. Begin: box up --detach"

    @property
    def event(self) -> Event | None:
        """The event under the cursor."""
        key = self.query_one(Listing).table.selected
        return next((one for one in self._page.events if str(one.id) == key), None)

    @on(DataTable.RowHighlighted)
    def _tell(self) -> None:
        event, pane = self.event, self.query_one(Facts)
        if event is None:
            pane.tell(Text(""), (), self.tones)
            return
        head = assemble(self.tones, Cell(event.kind, "strong"), Cell(f"  {said_moment(event.at)}", "muted"))
        pane.tell(head, eventlog.lines(event), self.tones)

    def under_cursor(self) -> str | None:
        return self.event.subject.removeprefix("run/") if self.event else None

    def subject(self) -> tuple[str, Command] | None:
        return (self.event.subject, self._asked.command) if self.event else None

    # Which events.

    def _ask(self, asked: Asked) -> None:
        self._asked, self._page = asked, replace(self._page, asked=asked, whole=False, reached=0)
        self.box_app.poller.wake()
        self.take()

    def apply_filter(self, pattern: str) -> None:
        wanted = eventlog.typed(pattern)
        if eventlog.spelled(wanted) != eventlog.spelled(self._asked):
            self._above.clear()
            self._ask(wanted)

    def action_only(self, what: str) -> None:
        if self.event:
            value = getattr(self.event, what)
            text = eventlog.spelled(replace(self._asked, **{what: value}))
            self.query_one(FilterBar).display = True
            self.query_one("#filter Input", Input).value = text

    def action_older(self) -> None:
        if self._page.older:
            self._above.append(self._asked)
            self.following = False
            self._ask(replace(self._asked, before=self._page.reached, at=None))
            self.query_one(Listing).table.move_cursor(row=0, animate=False)

    def action_newer(self) -> None:
        if self._above:
            self._ask(self._above.pop())
        elif not self._asked.newest:
            self._ask(replace(self._asked, before=None, at=None))

    def action_follow(self) -> None:
        self.following = not self.following
        if not self._asked.newest:
            self._above.clear()
            self._ask(replace(self._asked, before=None, at=None))
        self.take()

    def action_when(self) -> None:
        def go(text: str | None) -> None:
            try:
                at = moment(text).timestamp() if text else None
            except BoxError as error:
                self.notify(f"{error.what}: {error.fix}", severity="error", markup=False)
                return
            if at is not None:
                self.following = False
                self._above.append(self._asked)
                self._ask(replace(self._asked, before=None, at=at))

        title = "Go to a time: 30m, 2h, 3d ago, or 2026-11-22T14:00"
        self.app.push_screen(AskScreen(title, lambda: _WHEN, lambda text: commands.events().text), go)

    # Where to.

    def action_open(self) -> None:
        if self.event is None:
            return
        noun, _, name = self.event.subject.partition("/")
        if noun == "run" or (not name and noun not in _PLACES and "@" not in noun):
            super().action_open()
        elif "@" in noun:
            self.box_app.reveal("endpoints", noun.partition("@")[0])
        elif noun in _PLACES:
            self.box_app.action_go(_PLACES[noun])
        else:
            self.notify(f"{self.event.subject} is told of here only.", markup=False)

    def action_trace(self) -> None:
        if self.event and (self.event.subject.startswith("run/") or "@" in self.event.subject):
            self.box_app.reveal("lineage", self.event.subject)

    def action_logs(self) -> None:
        self.app.push_screen(LogsScreen())
