"""What all screens have in common: bars around a body, following the snapshot, filter, help and actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, cast

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
from boxplat_tui.widgets.bars import FilterBar, Line, TitleBar, assemble
from boxplat_tui.widgets.logpane import LogPane, LogView
from boxplat_tui.widgets.table import Listing, LiveTable

if TYPE_CHECKING:
    from boxplat_tui.app import BoxApp

CHANGING = frozenset({"run", "up", "down", "restart", "deploy", "undeploy", "cancel", "predict"})


class BoxScreen(Screen[None]):
    """A full screen. Subclasses yield their `body`, `show` a snapshot, and say what `c` and `C` copy."""

    MODE: ClassVar[str] = "overview"
    HELP: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, key_display="esc"),
        Binding("c", "copy_id", "Copy the id", show=False),
        Binding("C", "copy_command", "Copy the command", show=False),
    ]

    _composed = False

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

    def subject(self) -> tuple[str, Command] | None:
        """The id under the cursor and the command that shows the same in a shell."""
        return None

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
        self.take()

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
                self.query_one(TitleBar).show(snapshot, self.tones, self.trail)
                self.show(snapshot)
        self.tick()

    def tick(self) -> None:
        """Say whether what is shown is old."""
        if not self._drawable:
            return
        banner = self.query_one("#banner", Line)
        lines = list(self._warning())
        banner.display = bool(lines)
        banner.say(assemble(self.tones, *[part for line in lines for part in (line, "\n")][:-1]))

    def _warning(self) -> Iterator[Cell]:
        error, age = self.box_app.failure, self.box_app.age
        shown = f"; what you see is {span(age)} old" if self.box_app.latest else ""
        if isinstance(error, BoxError):
            yield Cell(f"✗ {clean(error.what)}{shown}", "bad")
            yield Cell(f"  why  {clean(error.why)}", "")
            yield Cell(f"  fix  {clean(error.fix)}", "accent")
        elif error is not None:
            yield Cell(f"✗ the box cannot be read: {clean(str(error)) or type(error).__name__}{shown}", "bad")
            yield Cell("  fix  box doctor", "accent")
        elif self.box_app.stale:
            yield Cell(f"▲ no answer from the box{shown or f' for {span(age)}'}", "warn")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.box_app.readonly and action in CHANGING)

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

    def action_copy_id(self) -> None:
        if found := self.subject():
            self.box_app.copy(found[0])

    def action_copy_command(self) -> None:
        if found := self.subject():
            self.box_app.copy(found[1].text)


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
