"""Every log of the box, and any single one."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.format import age
from boxplat_tui.glyphs import Cell, run_state, service_state
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.table import Column, Listing, Row

_COLUMNS = (
    Column("LOG OF", 18),
    Column("WHAT", 18, from_width=90),
    Column("STATE", 11),
    Column("SINCE", 9, right=True),
    Column("SAYS"),
)


class LogsScreen(BoxScreen):
    """Every service and the newest runs; Enter follows the log of the one under the cursor."""

    MODE = "events"
    HELP = "Everything that writes a log. Enter follows it; / filters; esc goes back."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", key_display="esc")]

    @property
    def trail(self) -> str:
        return "logs"

    def body(self) -> ComposeResult:
        yield Listing(_COLUMNS, "Nothing has run yet. Start the box: box up --detach", "logs")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#logs", Listing).show(_rows(snapshot))

    def subject(self) -> tuple[str, Command] | None:
        key = self.query_one("#logs", Listing).table.selected
        return (key, commands.logs(key)) if key else None

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        if found := self.subject():
            self.box_app.open_log(found[0])


def _rows(snapshot: Snapshot) -> list[Row]:
    now = snapshot.at
    began = snapshot.supervisor.started if snapshot.supervisor else None
    return [
        _row("supervisor", "supervisor", Cell(""), began, "", now),
        *(_row(one.name, one.kind, service_state(one.state), one.since, one.reason, now) for one in snapshot.services),
        *(
            _row(str(run.id), run.name, run_state(run.state), run.started, _last(run.error), now)
            for run in snapshot.runs
        ),
    ]


def _last(error: str | None) -> str:
    return "".join((error or "").strip().splitlines()[-1:])


def _row(name: str, what: str, state: Cell, since: float | None, says: str, now: float) -> Row:
    shown = f"run {name}" if name.isdecimal() else name
    cells = (Cell(shown, "strong"), Cell(what, "muted"), state, Cell(age(since, now), "muted"), Cell(says, "muted"))
    return Row(name, cells, (shown, what, state.text, -(since or 0.0), says))


class LogScreen(BoxScreen):
    """One log on a whole screen; `[` and `]` go through the logs of the box."""

    MODE = "events"
    HELP = (
        "A log that follows its file. f stops and starts following; / keeps only the lines with some words, n and N go "
        "through them among all the others, m changes between the two; w wraps; E reads 256 KiB further back; "
        "[ and ] show the other logs."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow"),
        Binding("E", "earlier", "Earlier lines", show=False),
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

    def action_earlier(self) -> None:
        self._pane.earlier()
        self.box_app.poller.wake()

    def action_source(self, step: int) -> None:
        names = self.box_app.log_subjects()
        if names:
            here = names.index(self._pane.subject) if self._pane.subject in names else 0
            self._pane.watch_log(names[(here + step) % len(names)])
            self.box_app.poller.wake()
            self.take()
