"""What all screens have in common: bars around a body, following the snapshot, filter, help and actions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input

from boxplat.core.errors import BoxError
from boxplat.core.model import Snapshot
from boxplat_tui.commands import Command
from boxplat_tui.format import span
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean
from boxplat_tui.reading import Reading
from boxplat_tui.screens.choose import Choice, ChooseScreen
from boxplat_tui.widgets.bars import FilterBar, Line, TitleBar, assemble
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.logview import LogView
from boxplat_tui.widgets.table import Listing, LiveTable

if TYPE_CHECKING:
    from boxplat_tui.app import BoxApp

COMMON_CHANGES = frozenset({"run", "up", "down", "restart", "deploy", "undeploy", "cancel", "predict"})


class BoxScreen(Screen[None]):
    """A full screen. Subclasses yield their `body`, `show` a snapshot, and say what `c` and `C` copy.

    `CHANGES` names the screen's own actions that change something: a read-only dashboard leaves them out.
    """

    MODE: ClassVar[str] = "overview"
    HELP: ClassVar[str] = ""
    CHANGES: ClassVar[frozenset[str]] = frozenset()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, key_display="esc"),
        Binding("c", "copy_id", "Copy the id", show=False),
        Binding("C", "copy_command", "Copy the command", show=False),
        Binding("o", "open_url", "Open the URL", show=False),
        Binding("ctrl+r", "refresh", "Read again now", show=False, key_display="^r"),
    ]

    _composed = False
    _wanted = ""

    @property
    def box_app(self) -> BoxApp:
        """The app, as what it is."""
        return cast("BoxApp", self.app)

    @property
    def tones(self) -> dict[str, str]:
        """Styles by tone in the theme in use."""
        return self.box_app.tones

    @property
    def trail(self) -> str:
        """What this screen is about, for the title; empty on a mode's first screen."""
        return ""

    def body(self) -> ComposeResult:
        """What is between the bars."""
        yield from ()

    def show(self, snapshot: Snapshot) -> None:
        """Follow the snapshot."""

    def read(self) -> None:
        """What else to read for this screen. Runs in the reading thread: it may post messages and touch no widget."""

    def readings(self) -> Sequence[Reading]:
        """What to keep fresh while this screen is in front: `[self.box_app.reading("features", "freshness")]`."""
        return ()

    def lines(self, rows: Iterable[tuple[Cell, ...]]) -> Text:
        """Lines of cells as one text."""
        return Text("\n").join(assemble(self.tones, *cells) for cells in rows)

    def subject(self) -> tuple[str, Command] | None:
        """The id under the cursor and the command that shows the same in a shell."""
        return None

    def url(self) -> str | None:
        """The address of what is under the cursor, for `o`."""
        return None

    def reveal(self, key: str) -> bool:
        """Put the cursor on what `key` names; False while it is not there yet."""
        for table in self.query(LiveTable):
            if table.has(key):
                table.select(key)
                table.focus()
                return True
        return False

    def want(self, key: str) -> None:
        """Reveal `key` as soon as it is there."""
        self._wanted = key
        self.take()

    def compose(self) -> ComposeResult:
        yield TitleBar(self.MODE)
        yield Line("banner")
        yield from self.body()
        yield FilterBar()
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._composed = True
        self.query_one("#banner").display = False
        self.retone()

    def on_screen_resume(self) -> None:
        self.box_app.poller.also = self.read
        self.box_app.poller.wake()
        for reading in self.readings() if self._drawable else ():
            reading.looked_at(time.monotonic())
        self.take()

    def on_resize(self) -> None:
        # What is beside what, and how wide, is known once the widgets have their new sizes.
        self.call_after_refresh(self.take)

    @property
    def _drawable(self) -> bool:
        """Messages may come before the widgets are there, and after they have gone."""
        return self._composed and self.is_attached and self.app.is_running

    def retone(self) -> None:
        """Draw in the colours of the theme in use."""
        for table in self.query(LiveTable):
            table.retone(self.tones)
        self.take()

    def take(self) -> None:
        """Show the latest snapshot, or why there is none."""
        snapshot = self.box_app.latest
        if snapshot is not None and self._drawable:
            with self.app.batch_update():
                said = [self._said(), "read-only" if self.box_app.readonly else ""]
                self.query_one(TitleBar).show(snapshot, self.tones, self.trail, "  ·  ".join(filter(None, said)))
                self.show(snapshot)
            if self._wanted and self.reveal(self._wanted):
                self._wanted = ""
        self.tick()

    def _said(self) -> str:
        """How old the oldest reading of this screen is."""
        now = self.box_app.now
        oldest = min(self.readings(), key=lambda reading: reading.at or 0.0, default=None)
        return oldest.said(now) if oldest else ""

    def tick(self) -> None:
        """Say whether what is shown is old."""
        if not self._drawable:
            return
        for reading in self.readings():
            self.box_app.keep_fresh(reading)
        banner = self.query_one("#banner", Line)
        lines = list(self._warning())
        banner.display = bool(lines)
        banner.say(assemble(self.tones, *[part for line in lines for part in (line, "\n")][:-1]))

    def _warning(self) -> Iterator[Cell]:
        error, age = self.box_app.failure, self.box_app.age
        shown = f"; what you see is {span(age)} old" if self.box_app.latest else ""
        if isinstance(error, BoxError):
            yield Cell(f"✗ {clean(error.what)}{shown}", "bad")
            yield Cell(f"  why  {_one_line(error.why)}", "")
            yield Cell(f"  fix  {clean(error.fix)}", "accent")
        elif error is not None:
            yield Cell(f"✗ the box cannot be read: {clean(str(error)) or type(error).__name__}{shown}", "bad")
            yield Cell("  fix  box doctor", "accent")
        elif self.box_app.stale:
            yield Cell(f"▲ no answer from the box{shown or f' for {span(age)}'}", "warn")
        for reading in self.readings():
            if reading.error:
                yield from self._unread(reading, reading.error)

    def _unread(self, reading: Reading, error: BoxError) -> Iterator[Cell]:
        shown = f"; what you see is {span(self.box_app.now - reading.at)} old" if reading.at else ""
        yield Cell(f"▲ {clean(error.what)}{shown}", "warn")
        yield Cell(f"  why  {_one_line(error.why)}", "")
        yield Cell(f"  fix  {clean(error.fix)}{f'   log  {clean(error.log)}' if error.log else ''}", "accent")

    def choose(self, title: str, choices: Sequence[Choice], none: str = "") -> None:
        """Ask which of several commands to run, unless there is one only that asks for nothing, or `none`."""
        if not choices:
            self.notify(none, markup=False)
        elif len(choices) == 1 and not choices[0].asks:
            self.perform(choices[0].make(""))
        else:
            self.app.push_screen(ChooseScreen(title, choices), self.perform)

    def perform(self, command: Command | None) -> None:
        """Run what a dialog came to; nothing where it was closed."""
        if command is not None:
            self.box_app.perform(command)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.box_app.readonly and (action in COMMON_CHANGES or action in self.CHANGES))

    def open_filter(self) -> None:
        """Let a filter be typed."""
        bar = self.query_one(FilterBar)
        bar.display = True
        bar.query_one(Input).focus()

    @on(Input.Changed, "#filter Input")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.apply_filter(event.value)

    @on(Input.Submitted, "#filter Input")
    def _filter_done(self, event: Input.Submitted) -> None:
        self.query_one(FilterBar).display = bool(event.value)
        self.focus_body()

    def apply_filter(self, pattern: str) -> None:
        """Filter everything on the screen that can be."""
        for listing in self.query(Listing):
            listing.filter(pattern)
        for pane in self.query(LogPane):
            pane.filter(pattern)

    def focus_body(self) -> None:
        """Put the focus on the first thing that takes it."""
        for widget in self.query("LiveTable, LogView").results():
            if widget.display and widget.focusable:
                widget.focus()
                return

    def action_back(self) -> None:
        bar = self.query_one(FilterBar)
        if bar.display:
            bar.query_one(Input).value = ""
            bar.display = False
            self.focus_body()
        elif len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def keys(self) -> list[Binding]:
        """The keys that do something here, for the help."""
        own = [cls.BINDINGS for cls in type(self).__mro__ if issubclass(cls, BoxScreen)]
        inside = [type(widget).BINDINGS for widget in (*self.query(LiveTable)[:1], *self.query(LogView)[:1])]
        found = [item for bindings in (*own, *inside) for item in bindings if isinstance(item, Binding)]
        return [item for item in found if self.check_action(item.action, ())]

    def offers(self) -> list[Binding]:
        """The screen's own keys, for the command palette; the keys of its tables move a cursor and no more."""
        own = [item for cls in type(self).__mro__ if issubclass(cls, BoxScreen) for item in cls.BINDINGS]
        found = {item.action: item for item in reversed(own) if isinstance(item, Binding)}
        return [
            item for item in reversed(found.values()) if item.action != "back" and self.check_action(item.action, ())
        ]

    def action_refresh(self) -> None:
        self.box_app.refresh_now(self.readings())

    def action_open_url(self) -> None:
        if address := self.url():
            self.box_app.open_address(address)

    def action_copy_id(self) -> None:
        if found := self.subject():
            self.box_app.copy(found[0])

    def action_copy_command(self) -> None:
        if found := self.subject():
            self.box_app.copy(found[1].text)


def _one_line(text: str) -> str:
    return clean(" · ".join(text.splitlines()))


class SubjectScreen(BoxScreen):
    """Rows about services, runs and endpoints: Enter goes to the one under the cursor, `l` opens its log."""

    def under_cursor(self) -> str | None:
        """What the row is about, as in `box logs SUBJECT`."""
        return None

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        if found := self.under_cursor():
            self.box_app.visit(found)

    def action_log(self) -> None:
        if found := self.under_cursor():
            self.box_app.open_log(found)
