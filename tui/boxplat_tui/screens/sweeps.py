"""Sweeps, and one of them with its trials, the best first."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.message import Message
from textual.widgets import DataTable

from boxplat.core.model import Snapshot
from boxplat.core.sweeps import Sweep, Trial
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.screens import sweep_rows
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.screens.compare import CompareScreen
from boxplat_tui.widgets.bars import Line
from boxplat_tui.widgets.table import Listing

NEWEST = 20
SELDOM = 5
HIGHEST = 9
Found = tuple[tuple[Sweep, tuple[Trial, ...]], ...]


class SweepsRead(Message):
    """Sweeps with their trials. Posted from the reading thread."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SweepsRead)


class _SweepReading(BoxScreen):
    """Reads sweeps every second while one goes on, else now and then."""

    MODE = "runs"
    CHANGES = frozenset({"resume"})

    def __init__(self) -> None:
        super().__init__()
        self.found: Found = ()
        self._reads = 0

    def wanted(self) -> list[Sweep]:
        """Which sweeps to read. Runs in the reading thread."""
        return []

    def read(self) -> None:
        self._reads += 1
        if self.found and all(sweep.state.over for sweep, _ in self.found) and self._reads % SELDOM:
            return
        box = self.box_app.box
        self.post_message(SweepsRead(tuple((sweep, tuple(box.sweep.show(sweep.id))) for sweep in self.wanted())))

    def on_sweeps_read(self, message: SweepsRead) -> None:
        if message.found != self.found:
            self.found = message.found
            self.take()

    def cancel(self, sweep: Sweep, trials: tuple[Trial, ...]) -> None:
        """End a sweep, if it is not over."""
        if sweep.state.over:
            self.notify(f"Sweep {sweep.id} is over: it {sweep.state.value}.", markup=False)
        else:
            left = sum(not trial.settled for trial in trials)
            self.box_app.perform(commands.cancel_sweep(sweep.id, left))


class SweepsScreen(_SweepReading):
    """The newest sweeps."""

    HELP = "Sweeps: runs of one flow with different parameters. Enter shows the trials, the best first."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "cancel", "Cancel"),
        Binding("e", "resume", "Resume"),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    @property
    def trail(self) -> str:
        return "sweeps"

    def body(self) -> ComposeResult:
        example = f"box run {self.box_app.first_flow} --param NAME=1,2,3 --metric NAME"
        yield Listing(sweep_rows.SWEEPS, f"No sweep yet. Several values make one: {example}", "sweeps")

    def wanted(self) -> list[Sweep]:
        return self.box_app.box.sweeps(NEWEST)

    def show(self, snapshot: Snapshot) -> None:
        self.query_one(Listing).show(sweep_rows.sweeps(self.found, snapshot.at))

    @property
    def chosen(self) -> tuple[Sweep, tuple[Trial, ...]] | None:
        """The sweep under the cursor with its trials."""
        key = self.query_one(Listing).table.selected
        return next((pair for pair in self.found if str(pair[0].id) == key), None)

    def subject(self) -> tuple[str, Command] | None:
        number = self.chosen[0].id if self.chosen else None
        return ("sweeps", commands.sweeps()) if number is None else (str(number), commands.sweep(number))

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        if self.chosen:
            self.app.push_screen(SweepScreen(self.chosen[0].id))

    def action_cancel(self) -> None:
        if self.chosen:
            self.cancel(*self.chosen)

    def action_resume(self) -> None:
        if self.chosen:
            self.box_app.perform(commands.resume_sweep(self.chosen[0].id))


class SweepScreen(_SweepReading):
    """One sweep."""

    HELP = (
        "The trials of a sweep, the best first and marked with ★. Enter opens a trial's run; space marks trials, and = "
        "shows their runs side by side."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("equals_sign", "compare", "Compare", key_display="="),
        Binding("x", "cancel", "Cancel"),
        Binding("e", "resume", "Resume"),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    @property
    def trail(self) -> str:
        return f"sweep {self._number}"

    @property
    def _found(self) -> tuple[Sweep, tuple[Trial, ...]] | None:
        return self.found[0] if self.found else None

    def body(self) -> ComposeResult:
        yield Line("about")
        with Container(id="sweep"):
            yield Listing(sweep_rows.TRIALS, "No trial has begun yet.", "trials", marks=True)
            with VerticalScroll(classes="beside-runs", can_focus=False):
                yield Line("previewed")

    def wanted(self) -> list[Sweep]:
        return [sweep for sweep in self.box_app.box.sweeps(1_000) if sweep.id == self._number]

    def show(self, snapshot: Snapshot) -> None:
        if not self._found:
            return
        sweep, trials = self._found
        self.query_one("#about", Line).say(sweep_rows.head(sweep, trials, self.tones))
        self.query_one(Listing).show(sweep_rows.trials(sweep, trials, snapshot.at))
        self._say_values()

    @on(DataTable.RowHighlighted)
    def _say_values(self) -> None:
        pane = self.query_one(".beside-runs")
        key = self.query_one(Listing).table.selected
        text = Text("")
        if self._found and pane.size.width:
            each = max(min(pane.size.height, HIGHEST), 5)
            text = sweep_rows.values(*self._found, key, self.tones, pane.size.width - 2, each)
        self.query_one("#previewed", Line).say(text)

    def _runs(self, keys: list[str]) -> list[int]:
        trials = self._found[1] if self._found else ()
        by_number = {str(trial.number): trial.run for trial in trials}
        return [run for key in keys if (run := by_number.get(key)) is not None]

    def subject(self) -> tuple[str, Command] | None:
        return (str(self._number), commands.sweep(self._number))

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        key = self.query_one(Listing).table.selected
        for run in self._runs([key] if key else []):
            self.box_app.visit(str(run))

    def action_compare(self) -> None:
        table = self.query_one(Listing).table
        keys = table.marked if len(table.marked) > 1 else [*table.marked, *([table.selected] if table.selected else [])]
        runs = list(dict.fromkeys(self._runs(keys)))
        if len(runs) < 2:
            self.notify("Mark two or more trials with space, then press =.", markup=False)
        else:
            self.app.push_screen(CompareScreen(sorted(runs)))

    def action_cancel(self) -> None:
        if self._found:
            self.cancel(*self._found)

    def action_resume(self) -> None:
        self.box_app.perform(commands.resume_sweep(self._number))
