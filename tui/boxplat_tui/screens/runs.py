"""The runs, with a preview of the one under the cursor where there is room."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widgets import DataTable

from boxplat.core.errors import BoxError
from boxplat.core.metrics import Execution, Series
from boxplat.core.model import Run, Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.screens import run_rows, run_views
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.screens.compare import CompareScreen
from boxplat_tui.screens.run import SELDOM, RunScreen, tracking_page
from boxplat_tui.screens.sweeps import SweepsScreen
from boxplat_tui.widgets.bars import Line
from boxplat_tui.widgets.table import Listing

__all__ = ["RunScreen", "RunsScreen"]

NEWEST = 500
FILTERED = 5_000
_REST_SECONDS = 0.15


class RunsRead(Message):
    """More runs than a snapshot has. Posted from the reading thread."""

    def __init__(self, runs: tuple[Run, ...], rows: run_rows.Made) -> None:
        super().__init__()
        self.runs, self.rows = runs, rows

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsRead)


class PreviewRead(Message):
    """The run under the cursor. Posted from the reading thread."""

    def __init__(self, found: Execution, series: tuple[Series, ...]) -> None:
        super().__init__()
        self.found, self.series = found, series

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, PreviewRead)


class RunsScreen(BoxScreen):
    """The newest runs."""

    MODE = "runs"
    HELP = (
        "Every execution of a flow, the newest first. Enter shows its steps, log and metrics; space marks runs, and = "
        "shows those marked side by side; w shows the sweeps. / searches the newest 5,000."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Run"),
        Binding("x", "cancel", "Cancel"),
        Binding("l", "log", "Log", show=False),
        Binding("equals_sign", "compare", "Compare", key_display="="),
        Binding("w", "sweeps", "Sweeps"),
        Binding("t", "trace", "Trace (lineage)", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._runs: tuple[Run, ...] = ()
        self._seen: tuple[Run, ...] = ()
        self._rows = run_rows.RunRows()
        self._limit = NEWEST
        self._chosen: int | None = None
        self._preview: PreviewRead | None = None
        self._drawn: tuple[PreviewRead | None, int, str] | None = None
        self._reads = 0
        self._rest: Timer | None = None

    def body(self) -> ComposeResult:
        with Container(id="all-runs"):
            empty = f"Nothing has run yet: box run {self.box_app.first_flow} --wait  (r)"
            yield Listing(run_rows.RUNS, empty, "runs", marks=True)
            with VerticalScroll(classes="beside-runs", can_focus=False):
                yield Line("previewed")

    def read(self) -> None:
        self._reads += 1
        box, latest = self.box_app.box, self.box_app.latest
        newest = latest.runs if latest else ()
        if newest != self._seen or not self._runs:
            self._seen = newest
            runs = tuple(box.runs(self._limit))
            self.post_message(RunsRead(runs, run_rows.RunRows.ahead(runs, self.box_app.now)))
        chosen, known = self._chosen, self._preview
        if chosen is None or not self.has_class("-wide"):
            return
        same = known is not None and known.found.run.id == chosen
        if same and known is not None and known.found.run.state.over and self._reads % SELDOM:
            return
        try:
            self.post_message(PreviewRead(box.history.show(chosen), box.history.metrics(chosen)))
        except BoxError:
            return  # it is shown without a preview, and opening it says why

    def on_runs_read(self, message: RunsRead) -> None:
        self._runs = message.runs
        self._rows.take(message.rows)
        self.take()

    def on_preview_read(self, message: PreviewRead) -> None:
        before = self._preview
        if before is None or (before.found, before.series) != (message.found, message.series):
            self._preview = message
        self._say_preview()

    def show(self, snapshot: Snapshot) -> None:
        newest = snapshot.runs
        older = [run for run in self._runs if not newest or run.id < newest[-1].id]
        self.query_one(Listing).show(self._rows.of([*newest, *older], snapshot.at))
        self._say_preview()

    def _say_preview(self) -> None:
        found, snapshot = self._preview, self.box_app.latest
        pane = self.query_one(".beside-runs")
        there = found is not None and found.found.run.id == self._chosen
        drawn = (found, pane.size.width, self.box_app.theme)
        still = drawn == self._drawn and found is not None and found.found.run.state.over
        if found and snapshot and there and pane.size.width and not still:
            self._drawn = drawn
            text = run_views.preview(found.found, found.series, snapshot.at, self.tones, pane.size.width - 2)
            self.query_one("#previewed", Line).say(text)

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        """Preview the run under the cursor as soon as it rests."""
        key = self.query_one(Listing).table.selected
        chosen = int(key) if key else None
        if chosen != self._chosen:
            self._chosen = chosen
            if self._rest:
                self._rest.stop()
            self._rest = self.set_timer(_REST_SECONDS, self.box_app.poller.wake)

    @property
    def run(self) -> Run | None:
        """The run under the cursor."""
        key = self.query_one(Listing).table.selected
        number = int(key) if key else None
        own = next((run for run in self._runs if run.id == number), None)
        return (self.box_app.find_run(number) or own) if number is not None else None

    def subject(self) -> tuple[str, Command] | None:
        return (str(self.run.id), commands.run(self.run.flow, self.run.params)) if self.run else None

    def url(self) -> str | None:
        return tracking_page(self.box_app.latest, self.run)

    def apply_filter(self, pattern: str) -> None:
        if pattern and self._limit < FILTERED:
            self._limit, self._seen = FILTERED, ()
            self.box_app.poller.wake()
        super().apply_filter(pattern)

    def reveal(self, key: str) -> bool:
        number = key.removeprefix("run/")
        if number.isdecimal() and not super().reveal(number):
            self.app.push_screen(RunScreen(int(number)))
        return True

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        if self.run:
            self.app.push_screen(RunScreen(self.run.id))

    def action_log(self) -> None:
        if self.run:
            self.box_app.open_log(str(self.run.id))

    def action_run(self) -> None:
        self.box_app.choose_flow(self.run)

    def action_cancel(self) -> None:
        if self.run:
            self.box_app.cancel(self.run)

    def action_compare(self) -> None:
        """Those that are marked; a single one with the one under the cursor."""
        table = self.query_one(Listing).table
        here = [table.selected] if table.selected else []
        chosen = dict.fromkeys(table.marked if len(table.marked) > 1 else [*table.marked, *here])
        if len(chosen) < 2:
            self.notify("Mark two or more runs with space, then press =.", markup=False)
        else:
            self.app.push_screen(CompareScreen(sorted(map(int, chosen))))

    def action_sweeps(self) -> None:
        self.app.push_screen(SweepsScreen())

    def action_trace(self) -> None:
        if self.run:
            self.box_app.reveal("lineage", f"run/{self.run.id}")
