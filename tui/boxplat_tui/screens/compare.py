"""Two or more runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from boxplat.core.errors import BoxError
from boxplat.core.metrics import Series, SideBySide
from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.format import plural
from boxplat_tui.glyphs import Cell, run_state
from boxplat_tui.screens import run_rows
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.table import Column, Listing

SELDOM = 5


class CompareRead(Message):
    """The runs side by side, with the history of their metrics by run. Posted from the reading thread."""

    def __init__(self, found: SideBySide | None, series: Mapping[int, Sequence[Series]], error: str = "") -> None:
        super().__init__()
        self.found, self.series, self.error = found, series, error

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, CompareRead)


class CompareScreen(BoxScreen):
    """Runs side by side, by default only what differs."""

    MODE = "runs"
    HELP = (
        "Runs side by side: ≠ marks what differs, numbers say how far they are from the first run, curves are drawn "
        "small. a shows what is the same too."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "every", "All, or what differs"),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self._numbers = tuple(numbers)
        self._read: CompareRead | None = None
        self._every = False
        self._reads = 0

    @property
    def trail(self) -> str:
        return "runs " + ", ".join(map(str, self._numbers)) + " side by side"

    def body(self) -> ComposeResult:
        yield Line("about")
        columns = (Column("", 1), Column("", 9), Column(""), *(Column(f"RUN {one}") for one in self._numbers))
        yield Listing(columns, "Nothing differs. a shows what is the same.", "compared")

    def read(self) -> None:
        self._reads += 1
        over = self._read is not None and self._read.found and all(run.state.over for run in self._read.found.runs)
        if over and self._reads % SELDOM:
            return
        history = self.box_app.box.history
        try:
            found = history.compare(self._numbers)
            self.post_message(CompareRead(found, {number: history.metrics(number) for number in self._numbers}))
        except BoxError as error:
            self.post_message(CompareRead(None, {}, f"{error.what}: {error.why}. {error.fix}"))

    def on_compare_read(self, message: CompareRead) -> None:
        self._read = message
        self.take()

    def show(self, snapshot: Snapshot) -> None:
        read = self._read
        if read is None or read.found is None:
            self.query_one("#about", Line).say(assemble(self.tones, Cell(read.error if read else "reading …", "warn")))
            return
        rows = run_rows.side_rows(read.found, read.series, self._every)
        self.query_one("#compared", Listing).show(rows)
        cells: list[Cell | str] = []
        for run in read.found.runs:
            cells += [Cell(f"{run.id} ", "muted"), Cell(run.name, "strong"), " ", run_state(run.state), "   "]
        same = len(read.found.facts) - sum(fact.differs for fact in read.found.facts)
        cells.append(Cell("" if self._every else f"{plural(same, 'fact')} not shown: a", "muted"))
        self.query_one("#about", Line).say(assemble(self.tones, *cells))

    def subject(self) -> tuple[str, Command] | None:
        return (",".join(map(str, self._numbers)), commands.compare_runs(self._numbers))

    def action_every(self) -> None:
        self._every = not self._every
        self.take()
