"""The NVIDIA devices and who holds their memory."""

from __future__ import annotations

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import DataTable

from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.screens import rows
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.gpus import block
from boxplat_tui.widgets.table import Listing


class QueueScreen(BoxScreen):
    """Each device with its recent history, and the processes on it."""

    MODE = "queue"
    HELP = "Utilisation and memory of each device while this dashboard has been open, and who holds the memory."

    def body(self) -> ComposeResult:
        with VerticalScroll(id="devices", can_focus=False):
            yield Line("blocks")
        yield Listing(rows.GPU_PROCESSES, "", "processes")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#blocks", Line).say(self._blocks(snapshot))
        processes = self.query_one("#processes", Listing)
        processes.display = bool(snapshot.gpus)
        processes.show(rows.gpu_processes(snapshot))

    def _blocks(self, snapshot: Snapshot) -> Text:
        if not snapshot.gpus:
            note = snapshot.gpu_note or "no NVIDIA GPU here"
            hint = "Flows and endpoints run on the CPU. What was looked for: box doctor"
            return Text("\n\n").join([assemble(self.tones, note), assemble(self.tones, Cell(hint, "muted"))])
        history, width = self.box_app.history, self.size.width - 2
        blocks = [
            block(gpu, history.utilisation.get(gpu.uuid, ()), history.memory.get(gpu.uuid, ()), self.tones, width)
            for gpu in snapshot.gpus
        ]
        return Text("\n\n").join(blocks)

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        """Go to what the process belongs to."""
        found, snapshot = self.subject(), self.box_app.latest
        owner = rows.owners(snapshot).get(int(found[0])) if found and snapshot else None
        if owner:
            self.box_app.visit(owner)

    def subject(self) -> tuple[str, Command] | None:
        key = self.query_one("#processes", Listing).table.selected
        return (key.partition("/")[2], commands.gpu()) if key else None
