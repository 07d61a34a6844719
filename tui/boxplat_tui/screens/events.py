"""The audit log, and any single log."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.screens import rows
from boxplat_tui.screens.base import BoxScreen, SubjectScreen
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.table import Listing


class EventsScreen(SubjectScreen):
    """What happened, the newest first."""

    MODE = "events"
    HELP = "The audit log. Enter goes to what an event is about; f keeps the cursor on the newest one."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Log"),
        Binding("f", "follow", "Follow"),
    ]
    following = False

    def body(self) -> ComposeResult:
        yield Listing(rows.EVENTS, "Nothing has happened yet.", "events")

    def show(self, snapshot: Snapshot) -> None:
        listing = self.query_one(Listing)
        listing.show(rows.events(snapshot))
        if self.following:
            listing.table.move_cursor(row=0, animate=False)

    @property
    def trail(self) -> str:
        return "following" if self.following else ""

    def under_cursor(self) -> str | None:
        key = self.query_one(Listing).table.selected
        return self.box_app.subject_of(int(key)) if key else None

    def subject(self) -> tuple[str, Command] | None:
        found = self.under_cursor()
        return (found, commands.events()) if found else None

    def action_follow(self) -> None:
        self.following = not self.following
        self.take()


class LogScreen(BoxScreen):
    """One log on a whole screen; `[` and `]` go through the logs of the box."""

    MODE = "events"
    HELP = "A log that follows its file. f stops and starts following; / filters; [ and ] show the other logs."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow"),
        Binding("left_square_bracket", "source(-1)", "Previous", key_display="["),
        Binding("right_square_bracket", "source(1)", "Next", key_display="]"),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    def __init__(self, subject: str) -> None:
        super().__init__()
        self._pane = LogPane(subject)

    @property
    def trail(self) -> str:
        subject = self._pane.subject
        return f"log of run {subject}" if subject.isdecimal() else f"log of {subject}"

    def body(self) -> ComposeResult:
        yield self._pane

    def read(self) -> None:
        self._pane.read(self.box_app.box)

    def show(self, snapshot: Snapshot) -> None:
        """The log itself comes by `read`."""

    def subject(self) -> tuple[str, Command] | None:
        return self._pane.subject, commands.logs(self._pane.subject)

    def action_follow(self) -> None:
        self._pane.toggle_follow()

    def action_source(self, step: int) -> None:
        names = self.box_app.log_subjects()
        if names:
            here = names.index(self._pane.subject) if self._pane.subject in names else 0
            self._pane.watch_log(names[(here + step) % len(names)])
            self.box_app.poller.wake()
            self.take()
