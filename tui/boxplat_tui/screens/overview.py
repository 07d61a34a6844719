"""The first screen: what runs, what ran, what happened, and what needs a person."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.attention import attention
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean
from boxplat_tui.screens import rows
from boxplat_tui.screens.base import SubjectScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.gpus import strip
from boxplat_tui.widgets.table import Listing, LiveTable

MOST_ADVICE = 4
RECENT = 40


class OverviewScreen(SubjectScreen):
    """Services, devices, the last runs and events."""

    MODE = "overview"
    HELP = (
        "Everything at a glance. The first lines say what needs you and the command for it; tab moves between tables."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Log"),
        Binding("r", "run", "Run"),
        Binding("u", "up", "Up"),
        Binding("D", "down", "Down"),
        Binding("R", "restart", "Restart"),
    ]

    def body(self) -> ComposeResult:
        yield Line("attention")
        yield Line("gpus")
        yield Listing(rows.SERVICES, "No services yet. Start the box: box up --detach", "services")
        with Container(id="lower"):
            yield Listing(rows.RUNS, "Nothing has run yet. Choose a flow: r", "runs")
            yield Listing(rows.EVENTS, "Nothing has happened yet.", "events")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#attention", Line).say(self._attention(snapshot))
        self.query_one("#gpus", Line).say(self._gpus(snapshot))
        self.query_one("#services", Listing).show(rows.services(snapshot))
        self.query_one("#runs", Listing).show(rows.runs(snapshot)[:RECENT])
        self.query_one("#events", Listing).show(rows.events(snapshot.events)[:RECENT])

    def _attention(self, snapshot: Snapshot) -> Text:
        found = attention(snapshot, self.box_app.first_flow)
        lines = [self._advice(advice.headline, advice.command) for advice in found[:MOST_ADVICE]]
        if len(found) > MOST_ADVICE:
            lines.append(assemble(self.tones, Cell(f"  and {len(found) - MOST_ADVICE} more", "muted")))
        return Text("\n").join(lines)

    def _advice(self, headline: Cell, command: str) -> Text:
        hint = f"  $ {command}" if command else ""
        room = max(self.size.width - 2 - len(hint), 20)
        text = clean(headline.text)
        short = text if len(text) <= room else text[: room - 1] + "…"
        return assemble(self.tones, Cell(short, headline.tone), Cell(hint, "strong"))

    def _gpus(self, snapshot: Snapshot) -> Text:
        if not snapshot.gpus:
            return assemble(self.tones, Cell(snapshot.gpu_note or "no NVIDIA GPU here", "muted"))
        history = self.box_app.history.utilisation
        lines = [strip(gpu, history.get(gpu.uuid, ()), self.tones, self.size.width - 2) for gpu in snapshot.gpus]
        return Text("\n").join(lines)

    def _current(self) -> tuple[str, str] | None:
        """Which table has the focus, and its key under the cursor."""
        table = self.focused
        if not isinstance(table, LiveTable) or table.selected is None or table.parent is None:
            return None
        return str(table.parent.id), table.selected

    def under_cursor(self) -> str | None:
        """What is under the cursor, as in `box logs SUBJECT`."""
        match self._current():
            case ("events", key):
                return self.box_app.subject_of(int(key))
            case (_, key):
                return key
        return None

    def subject(self) -> tuple[str, Command] | None:
        found = self.under_cursor()
        return (found, commands.logs(found)) if found else None

    def action_run(self) -> None:
        self.box_app.choose_flow()

    def _service(self) -> str | None:
        """The service under the cursor of its table."""
        match self._current():
            case ("services", key):
                return key
        return None

    def action_up(self) -> None:
        snapshot = self.box_app.latest
        here = snapshot is not None and snapshot.supervisor is not None
        self.box_app.perform(commands.up(self._service() if here else None))

    def action_down(self) -> None:
        self.box_app.perform(commands.down(self._service()))

    def action_restart(self) -> None:
        if service := self._service():
            self.box_app.perform(commands.restart(service))
