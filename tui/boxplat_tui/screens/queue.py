"""The machine and the line: who has what of it, who waits and why, and which flows start by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import DataTable

from boxplat.core.model import Run, Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean
from boxplat_tui.reading import REST, Reading
from boxplat_tui.screens import queue_rows, rows
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.gpus import Machine, machine
from boxplat_tui.widgets.shares import Colours
from boxplat_tui.widgets.table import Listing, LiveTable

if TYPE_CHECKING:
    from boxplat.runs.queue import Place
    from boxplat.runs.shares import Occupancy

# While runs wait, the supervisor measures every two seconds what has a lease; otherwise this screen has it done.
FRESH_SECONDS = 5.0
QUICK_SECONDS, MOST_REST = 0.03, 4.0
WIDE, TALL = 120, 34


class MachineRead(Message):
    """The line of runs, and who has what. Posted from the reading thread."""

    def __init__(self, found: Occupancy) -> None:
        super().__init__()
        self.found = found

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, MachineRead)


class QueueScreen(BoxScreen):
    """Devices with their history and their owners, the line of runs, and the schedules."""

    MODE = "queue"
    HELP = (
        "What the machine has and who has it; below, everything that holds a lease or waits for one, in the order in "
        "which it is served: h holds a run or lets it go on. tab goes on to the flows that start by themselves: "
        "p pauses one or lets it start again, r runs it now."
    )
    CHANGES = frozenset({"hold", "move", "pause"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "hold", "Hold"),
        Binding("x", "cancel", "Cancel"),
        Binding("K", "move('up')", "Move up in line", show=False),
        Binding("J", "move('down')", "Move down in line", show=False),
        Binding("F", "move('first')", "Move to the front", show=False),
        Binding("L", "move('last')", "Move to the end", show=False),
        Binding("p", "pause", "Pause"),
        Binding("r", "run", "Run"),
        Binding("l", "log", "Log", show=False),
        Binding("t", "trace", "Trace", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: Occupancy | None = None
        self._places: Mapping[str, Place] = {}
        self._colours = Colours()
        self._rows = queue_rows.LineRows()
        self._due = 0.0

    def body(self) -> ComposeResult:
        with VerticalScroll(id="devices", can_focus=False):
            yield Line("blocks")
        with Container(id="machine"):
            with Vertical(id="waiting"):
                yield Listing(queue_rows.LINE, "Nothing runs and nothing waits. Run a flow: r", "line")
                yield Listing(
                    queue_rows.SCHEDULES,
                    "No flow starts by itself: give one @schedule or @trigger (docs/schedules.md).",
                    "starts",
                )
            with Vertical(id="beside"):
                yield Line("selected")
                yield Listing(rows.GPU_PROCESSES, "", "processes")

    # Reading and showing.

    def read(self) -> None:
        if time.monotonic() < self._due:
            return
        latest, began = self.box_app.latest, time.thread_time()
        found = self.box_app.box.queue.machine(latest.services if latest else (), FRESH_SECONDS)
        took = time.thread_time() - began
        if took > QUICK_SECONDS and self._found is not None:
            # A line of thousands: it is read less often.
            self._due = time.monotonic() + min(REST * took, MOST_REST)
        self.post_message(MachineRead(found))

    def on_machine_read(self, message: MachineRead) -> None:
        first, self._found = self._found is None, message.found
        self._places = queue_rows.keyed(message.found.line.places)
        self._colours.follow(part.owner for share in message.found.shares for part in share.parts)
        if first:
            self.take()

    def readings(self) -> Sequence[Reading]:
        return [self.box_app.reading("schedule", every=300.0, kinds=("schedule.", "run.queued"))]

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#blocks", Line).say(self._machine(snapshot))
        if self._found is not None:
            self.query_one("#line", Listing).show(self._rows.of(self._places, self._runs, snapshot.at))
        told = self.readings()[0]
        starts = self.query_one("#starts", Listing)
        starts.display = told.known
        self.query_one("#line", Listing).set_class(not told.known, "-alone")
        starts.show(queue_rows.schedules(self._schedules, told.data.get("problems", ()), snapshot.at))
        processes = self.query_one("#processes", Listing)
        processes.display = bool(snapshot.gpus) and (self.size.width >= WIDE or self.size.height >= TALL)
        processes.show(rows.gpu_processes(snapshot))
        self._tell()

    @property
    def _runs(self) -> Mapping[int, Run]:
        snapshot = self.box_app.latest
        return {run.id: run for run in snapshot.runs} if snapshot else {}

    @property
    def _schedules(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.readings()[0].data.get("schedules", ())
        return found

    def _machine(self, snapshot: Snapshot) -> Text:
        shares = self._found.shares if self._found else ()
        names = {part.owner: queue_rows.name_of(part.owner, self._runs) for one in shares for part in one.parts}
        shown = Machine(
            snapshot, shares, self.box_app.history, self._colours, names, self.tones, self.size.width - 2,
            max(self.size.height * 2 // 5 - 3, 5),
        )  # fmt: skip
        text = machine(shown)
        if not snapshot.gpus:
            note = snapshot.gpu_note or "no NVIDIA GPU here"
            text = Text("\n").join([assemble(self.tones, Cell(f"{note} · looked for by box doctor", "muted")), text])
        return text

    # What is under the cursor.

    def _current(self) -> tuple[str, str] | None:
        """Which table has the focus, and its key under the cursor; the line of runs where none has."""
        table = self.focused if isinstance(self.focused, LiveTable) else self.query_one("#line", Listing).table
        return (str(table.parent.id), table.selected) if table.parent and table.selected else None

    @property
    def _place(self) -> Place | None:
        match self._current():
            case ("line", key):
                return self._places.get(key)
        return None

    @property
    def _schedule(self) -> Mapping[str, Any] | None:
        match self._current():
            case ("starts", key):
                return next((one for one in self._schedules if one["flow"] == key), None)
        return None

    @on(DataTable.RowHighlighted)
    def _tell(self) -> None:
        snapshot = self.box_app.latest
        if snapshot is not None:
            told = list(self._about(snapshot.at))
            self.query_one("#selected", Line).say(self._facts(told) if self.size.width >= WIDE else self._brief(told))

    def on_descendant_focus(self) -> None:
        self._tell()

    def _about(self, now: float) -> Iterable[tuple[str, Cell]]:
        if (place := self._place) is not None:
            return queue_rows.about(place, self._runs.get(place.run or 0), self._runs, now)
        if (one := self._schedule) is not None:
            return queue_rows.about_schedule(one, now)
        match self._current():
            case ("starts", key) if key.startswith("!"):
                return queue_rows.about_problem(self.readings()[0].data["problems"][int(key[1:])])
        return ()

    def _facts(self, told: Sequence[tuple[str, Cell]]) -> Text:
        """A name and its value a line, and what does not fit below the value."""
        width = self.query_one("#selected", Line).size.width - 2
        text = Text()
        for name, cell in told:
            indent = 9 * bool(name)
            text.append(f"{name:<{indent}}", self.tones["muted"])
            value = Text(clean(cell.text), self.tones.get(cell.tone, ""))
            lines = value.wrap(self.app.console, max(width - indent, 10))
            text.append_text(Text(f"\n{' ' * indent}").join(lines)).append("\n")
        text.rstrip()
        return text

    def _brief(self, told: Sequence[tuple[str, Cell]]) -> Text:
        """The reason only, where there is no room for more."""
        text = Text()
        for name, cell in told:
            if name in ("what", "why", "fix"):
                text.append(f"{name} ", self.tones["muted"])
                text.append(f"{clean(cell.text)}  ", self.tones.get(cell.tone, ""))
        return text

    def subject(self) -> tuple[str, Command] | None:
        match self._current():
            case ("processes", key):
                return key.partition("/")[2], commands.gpu()
            case ("starts", key):
                return key, commands.schedules()
            case ("line", key):
                return key, commands.queue()
        return None

    def reveal(self, key: str) -> bool:
        """Also a run of which only tasks have a place."""
        own = next((name for name, place in self._places.items() if str(place.run) == key), key)
        return super().reveal(own)

    # Keys.

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_open()

    def _goal(self) -> str | None:
        """What the row is about, as in `box logs SUBJECT`."""
        if (place := self._place) is not None:
            return str(place.run) if place.run is not None else place.owner.removeprefix("service/").partition("@")[0]
        if (one := self._schedule) is not None:
            return str(one["run"]) if one["run"] else None
        snapshot = self.box_app.latest
        match self._current():
            case ("processes", key) if snapshot:
                return rows.owners(snapshot).get(int(key.partition("/")[2]))
        return None

    def action_open(self) -> None:
        if found := self._goal():
            self.box_app.visit(found)

    def action_log(self) -> None:
        if found := self._goal():
            self.box_app.open_log(found)

    def action_trace(self) -> None:
        if (place := self._place) is not None:
            subject = f"run/{place.run}" if place.run is not None else place.owner.removeprefix("service/")
            self.box_app.reveal("lineage", subject)

    def _run_here(self) -> int | None:
        """The run under the cursor, for what only a run can do."""
        place = self._place
        if place is not None and place.run is None:
            self.notify("An endpoint's lease ends with its release: box undeploy, or box down.", markup=False)
        return place.run if place is not None else None

    def action_hold(self) -> None:
        place, number = self._place, self._run_here()
        if place is not None and number is not None:
            run = self._runs.get(number)
            held = run.held if run else place.state == "held"
            self.box_app.perform(commands.release(number) if held else commands.hold(number))

    def action_move(self, where: str) -> None:
        if (number := self._run_here()) is not None:
            self.box_app.perform(commands.move(number, where))

    def action_cancel(self) -> None:
        if (number := self._run_here()) is not None:
            run = self._runs.get(number)
            self.box_app.perform(commands.cancel(number, run.name if run else "a flow"))

    def action_pause(self) -> None:
        if (one := self._schedule) is not None:
            self.box_app.perform((commands.resume if one["state"] == "paused" else commands.pause)(one["flow"]))
        else:
            self.notify("tab goes to the flows that start by themselves; p pauses one.", markup=False)

    def action_run(self) -> None:
        if (one := self._schedule) is not None:
            self.box_app.perform(commands.run_now(one["flow"]))
        else:
            self.box_app.choose_flow()
