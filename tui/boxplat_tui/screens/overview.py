"""The first screen: what needs a person, what runs, what ran, what happened and what comes next."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message

from boxplat.beginning import Step
from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.attention import Advice, attention
from boxplat_tui.commands import Command
from boxplat_tui.format import NONE, span
from boxplat_tui.glyphs import Cell
from boxplat_tui.reading import Reading
from boxplat_tui.screens import live_rows, rows
from boxplat_tui.screens.base import SubjectScreen
from boxplat_tui.screens.live_rows import Measured
from boxplat_tui.snapshot import HOST
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.gpus import host_strip, strip
from boxplat_tui.widgets.table import Column, Listing, LiveTable, Row

if TYPE_CHECKING:
    from boxplat.releases.live import Live

RECENT = 40
MEASURE_SECONDS = 5.0
MOST_SCHEDULES = 4
WELL = "✓ All is well. r runs a flow, 6 deploys and splits, ? shows all keys."
ADVICE = (Column("WHAT NEEDS YOU"), Column("ENTER DOES", 34))


class OverviewRead(Message):
    """How far a new box has come, and what the releases do. Posted from the reading thread."""

    def __init__(self, steps: tuple[Step, ...], live: tuple[Live, ...]) -> None:
        super().__init__()
        self.steps = steps
        self.live = live

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, OverviewRead)


class OverviewScreen(SubjectScreen):
    """Advice, services, devices, what starts by itself, the last runs and events."""

    MODE = "overview"
    HELP = (
        "Everything at a glance. The first table says what needs you, and enter does it; tab moves between the tables. "
        "u, D and R mean the service under the cursor in the table of services, elsewhere u and D the whole box."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Log"),
        Binding("r", "run", "Run"),
        Binding("u", "up", "Up"),
        Binding("D", "down", "Down"),
        Binding("R", "restart", "Restart"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012 (Textual declares it so)

    def __init__(self) -> None:
        super().__init__()
        self._steps: tuple[Step, ...] | None = None
        self._live: Measured = {}
        self._measured = -MEASURE_SECONDS
        self._advice: Mapping[str, Advice] = {}
        self._now = ""

    def body(self) -> ComposeResult:
        yield Listing(ADVICE, WELL, "attention")
        yield Line("gpus")
        yield Line("schedules")
        yield Listing(rows.SERVICES, "No services yet. Start the box: box up --detach", "services")
        yield Listing(live_rows.COLUMNS, "", "live")
        with Container(id="lower"):
            yield Listing(rows.RUNS, "Nothing has run yet. Choose a flow: r", "runs")
            yield Listing(rows.EVENTS, "Nothing has happened yet.", "events")

    def read(self) -> None:
        # Nobody becomes a newcomer again, and the figures are of half a minute: less often is enough.
        steps = () if self._steps == () else self.box_app.box.beginning()
        due = time.monotonic() - self._measured >= MEASURE_SECONDS
        if not steps and not due and self._steps == ():
            return
        self._measured = time.monotonic() if due else self._measured
        live = self.box_app.box.endpoints.live() if due else tuple(self._live.values())
        self.post_message(OverviewRead(steps, live))

    def on_overview_read(self, message: OverviewRead) -> None:
        live = {(one.endpoint, one.release): one for one in message.live}
        if (message.steps, live) != (self._steps, self._live):
            self._steps, self._live = message.steps, live
            self.take()

    def readings(self) -> Sequence[Reading]:
        return [self.box_app.reading("schedule", every=300.0, kinds=("schedule.", "run.queued"))]

    def _said(self) -> str:
        # What is read apart is one line here, and no measure of the rest.
        return ""

    def show(self, snapshot: Snapshot) -> None:
        schedules = self.readings()[0].data.get("schedules", ())
        self._advise(attention(snapshot, self._steps or (), schedules))
        self.query_one("#gpus", Line).say(self._gpus(snapshot))
        self._tell_schedules(schedules, snapshot.at)
        self.query_one("#services", Listing).show(rows.services(snapshot))
        live = live_rows.live(snapshot, self._live)
        self.query_one("#live", Listing).show(live)
        self.query_one("#live", Listing).table.display = bool(live)
        self.query_one("#runs", Listing).show(rows.runs(snapshot)[:RECENT])
        self.query_one("#events", Listing).show(rows.events(snapshot.events)[:RECENT])
        self.set_class(bool(self._steps), "-beginning")
        for name in ("#runs", "#events"):
            if (table := self.query_one(name, Listing).table) is not self.focused:
                table.to_top()

    # What needs a person.

    def _advise(self, found: Sequence[Advice]) -> None:
        listing, first = self.query_one("#attention", Listing), not self._advice
        self._advice = {advice.key: advice for advice in found}
        table = listing.table
        table.display = bool(found)
        listing.show([_advice(advice) for advice in found])
        now = next((advice.key for advice in found if advice.now), "")
        if now != self._now and (not now or table.has(now)):
            self._now = now
            table.select(now)
        here = self.focused
        if found and first and (here is None or here.parent is self.query_one("#services")):
            table.focus()
        elif not found and (here is None or here is table):
            self.query_one("#services", Listing).table.focus()

    def action_open(self) -> None:
        match self._current():
            case ("attention", key) if (advice := self._advice.get(key)) and advice.command:
                self._carry_out(advice.command)
            case ("attention", _):
                pass
            case ("live", key):
                self.box_app.reveal("endpoints", key.partition("@")[0])
            case _:
                super().action_open()

    def _carry_out(self, command: Command) -> None:
        """Do what was advised: look where it only shows something, else run it."""
        match command.words:
            case ("logs", subject, *_):
                self.box_app.visit(subject)
            case ("endpoints", "history", name):
                self.box_app.reveal("endpoints", name)
            case ("schedule", "list"):
                self.box_app.action_go("queue")
            case ("predict", name, *_) if not self.box_app.readonly:
                self.box_app.try_prediction(name)
            case _:
                self.box_app.perform(command)

    # What there is and what comes.

    def _gpus(self, snapshot: Snapshot) -> Text:
        history, width = self.box_app.history.utilisation, self.size.width - 2
        lines = [strip(gpu, history.get(gpu.uuid, ()), self.tones, width) for gpu in snapshot.gpus]
        if not lines and snapshot.host:
            lines = [host_strip(snapshot.host, history.get(HOST, ()), self.tones, width)]
        return Text("\n").join(lines or [assemble(self.tones, Cell(snapshot.gpu_note, "muted"))])

    def _tell_schedules(self, schedules: Sequence[Mapping[str, Any]], now: float) -> None:
        line = self.query_one("#schedules", Line)
        line.display = bool(schedules)
        cells = [Cell("NEXT", "muted")]
        for schedule in sorted(schedules, key=lambda one: one["next"] or float("inf"))[:MOST_SCHEDULES]:
            cells += [Cell(f"  {schedule['name']} ", "strong"), _when(schedule, now)]
        if len(schedules) > MOST_SCHEDULES:
            cells.append(Cell(f"  and {len(schedules) - MOST_SCHEDULES} more", "muted"))
        line.say(assemble(self.tones, *cells))

    # What is under the cursor.

    def _current(self) -> tuple[str, str] | None:
        """Which table has the focus, and its key under the cursor."""
        table = self.focused
        if not isinstance(table, LiveTable) or table.selected is None or table.parent is None:
            return None
        return str(table.parent.id), table.selected

    def under_cursor(self) -> str | None:
        """What is under the cursor, as in `box logs SUBJECT`."""
        match self._current():
            case ("attention", key):
                words = command.words if (command := self._advice[key].command) else ()
                return words[1] if words[:1] == ("logs",) else None
            case ("events", key):
                return self.box_app.subject_of(int(key))
            case (_, key):
                return key
        return None

    def subject(self) -> tuple[str, Command] | None:
        match self._current():
            case ("attention", key) if command := self._advice[key].command:
                return (self.under_cursor() or key, command)
        found = self.under_cursor()
        return (found, commands.logs(found)) if found else None

    def url(self) -> str | None:
        snapshot, name = self.box_app.latest, self._service()
        return next((row.url for row in snapshot.services if row.name == name), None) if snapshot else None

    def _service(self) -> str | None:
        """The service under the cursor of its table."""
        match self._current():
            case ("services", key):
                return key
        return None

    # Keys.

    def action_run(self) -> None:
        self.box_app.choose_flow()

    def action_up(self) -> None:
        snapshot = self.box_app.latest
        here = snapshot is not None and snapshot.supervisor is not None
        self.box_app.perform(commands.up(self._service() if here else None))

    def action_down(self) -> None:
        self.box_app.perform(commands.down(self._service()))

    def action_restart(self) -> None:
        if service := self._service():
            self.box_app.perform(commands.restart(service))


def _advice(advice: Advice) -> Row:
    text = advice.command.text if advice.command else ""
    return Row(advice.key, (advice.headline, Cell(f"$ {text}" if text else "", "strong")), (advice.headline.text, text))


def _when(schedule: Mapping[str, Any], now: float) -> Cell:
    """When a flow starts by itself: `in 12m`, `paused`, `with 2 events`."""
    if schedule["state"] != "on":
        return Cell(str(schedule["state"]), "warn" if schedule["state"] == "refused" else "muted")
    if schedule["next"] is not None:
        return Cell(f"in {span(schedule['next'] - now)}" if schedule["next"] > now else "now")
    return Cell("with " + " and ".join(schedule["events"]) if schedule["events"] else NONE, "muted")
