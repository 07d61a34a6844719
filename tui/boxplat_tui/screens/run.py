"""One run: its steps and tasks on a time line, and beside them its log, metrics, use and data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.geometry import Size
from textual.message import Message
from textual.widgets import ContentSwitcher, DataTable

from boxplat.core.errors import BoxError
from boxplat.core.metrics import Execution, Series
from boxplat.core.model import Run, RunState, Snapshot, Task
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.screens import run_rows, run_views
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.table import Listing

if TYPE_CHECKING:
    from boxplat.runs.profiles.report import StepUse

PANES = (("log", "l Log"), ("measured", "m Metrics"), ("used", "u Usage"), ("data", "v Data"))
# A run that is over changes no more, except that MLflow may get the rest of it, and `box gc` may free it.
SELDOM = 5


class RunRead(Message):
    """What is known of a run, or why nothing is. Posted from the reading thread."""

    def __init__(
        self,
        found: Execution | None,
        series: tuple[Series, ...] = (),
        used: tuple[StepUse, ...] = (),
        error: BoxError | None = None,
    ) -> None:
        super().__init__()
        self.found, self.series, self.used, self.error = found, series, used, error

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunRead)

    def same(self, other: RunRead) -> bool:
        """Whether there is nothing new."""
        mine, others = (self.found, self.series, self.used), (other.found, other.series, other.used)
        return mine == others and str(self.error) == str(other.error)


class RunScreen(BoxScreen):
    """One run, followed as it goes on."""

    MODE = "runs"
    HELP = (
        "One run. Enter on a step shows its tasks and only its lines of the log, again: all. l, m, u and v show the "
        "log, the metrics as curves, what the steps used of what they asked for, and the data by content."
    )
    CHANGES = frozenset({"resume"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "pane('log')", "Log", show=False),
        Binding("m", "pane('measured')", "Metrics", show=False),
        Binding("u", "pane('used')", "Usage", show=False),
        Binding("v", "pane('data')", "Data", show=False),
        Binding("r", "run", "Again"),
        Binding("x", "cancel", "Cancel"),
        Binding("e", "resume", "Go on after a failure", show=False),
        Binding("f", "follow", "Follow the log", show=False),
        Binding("E", "earlier", "Earlier lines of the log", show=False),
        Binding("t", "trace", "Trace (lineage)", show=False),
        Binding("right_square_bracket", "next_pane(1)", "The next of them", show=False, key_display="]"),
        Binding("left_square_bracket", "next_pane(-1)", "The one before", show=False, key_display="["),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    def __init__(self, run_id: int) -> None:
        super().__init__()
        self._run_id = run_id
        self._read = RunRead(None)
        self._reads = 0
        self._unfolded: set[str] = set()
        self._drawn: tuple[tuple[Series, ...], Size, str] | None = None
        self._pane = LogPane(str(run_id))

    @property
    def trail(self) -> str:
        return f"run {self._run_id}"

    @property
    def run(self) -> Run | None:
        """The run as read last, or as the snapshot has it."""
        return self._read.found.run if self._read.found else self.box_app.find_run(self._run_id)

    @property
    def tasks(self) -> tuple[Task, ...]:
        return self._read.found.tasks if self._read.found else ()

    def body(self) -> ComposeResult:
        yield Line("about")
        with Container(id="run"):
            with Vertical(id="steps"):
                yield Listing(run_rows.TASKS, "No task has started yet.", "tasks")
                yield Line("task")
            with Vertical(id="run-side"):
                yield Line("panes")
                with ContentSwitcher(initial="log"):
                    yield self._pane
                    with VerticalScroll(id="measured"):
                        yield Line("charts")
                    with Vertical(id="used"):
                        yield Listing(run_rows.USAGE, "Nothing was measured yet: a task is when it ends.", "usage")
                        yield Line("advice")
                    yield Listing(run_rows.DATA, "It read and wrote nothing through boxplat.", "data")

    def read(self) -> None:
        self._reads += 1
        box, number = self.box_app.box, self._run_id
        self._pane.read(box)
        over = self._read.found is not None and self._read.found.run.state.over
        if over and self._reads % SELDOM:
            return
        try:
            told = RunRead(box.history.show(number), box.history.metrics(number), box.usage(number))
        except BoxError as error:
            told = RunRead(self._read.found, self._read.series, self._read.used, error)
        self.post_message(told)

    def on_run_read(self, message: RunRead) -> None:
        if not message.same(self._read):
            self._read = message
            self.take()

    def show(self, snapshot: Snapshot) -> None:
        now, found = snapshot.at, self._read
        self.query_one("#about", Line).say(self._about(now))
        self.query_one("#tasks", Listing).show(
            run_rows.steps(self.run, self.tasks, self._unfolded, now, self._bar_width())
        )
        self.query_one("#usage", Listing).show(run_rows.usage(found.used))
        self.query_one("#data", Listing).show(run_rows.data(found.found) if found.found else [])
        self.query_one("#advice", Line).say(self._advice())
        if self.query_one(ContentSwitcher).current == "measured":
            self._draw(self.query_one("#run-side").size)
        self.query_one("#panes", Line).say(assemble(self.tones, *self._tabs()))
        self._say_task()

    def _draw(self, room: Size) -> None:
        """The charts, where they differ from what was drawn: a dozen takes some 20 ms."""
        drawn = (self._read.series, room, self.box_app.theme)
        if drawn != self._drawn:
            self._drawn = drawn
            charts = run_views.metrics(self._read.series, self.tones, room.width - 4, room.height - 2)
            self.query_one("#charts", Line).say(charts)

    def _bar_width(self) -> int:
        return self.query_one("#tasks LiveTable").size.width - run_rows.BEFORE_BARS - 1

    def _about(self, now: float) -> Text:
        if self.run:
            freed = self._read.found.freed if self._read.found else None
            return run_views.head(self.run, now, self.tones, freed, self.query_one("#about").content_size.width)
        error = self._read.error
        return assemble(self.tones, Cell(f"✗ {error.what}: {error.fix}", "bad")) if error else Text("reading …")

    def _advice(self) -> Text:
        found = run_rows.advice(self._read.used)
        lines = [
            assemble(self.tones, Cell("  " + line), Cell(f"   ({why})" if why else "", "muted")) for line, why in found
        ]
        head = assemble(self.tones, Cell("would fit, by the last runs:", "muted"))
        return Text("\n").join([head, *lines]) if lines else Text("")

    def _tabs(self) -> Iterator[Cell | str]:
        here = self.query_one(ContentSwitcher).current
        for name, label in PANES:
            yield Cell(f"[{label}]" if name == here else f" {label} ", "strong" if name == here else "muted")
            yield " "

    @on(DataTable.RowHighlighted)
    def _say_task(self) -> None:
        task = self.chosen
        attempts = self._read.found.attempts if self._read.found else ()
        cells = run_rows.about_task(task, attempts) if task else []
        self.query_one("#task", Line).say(assemble(self.tones, *cells))

    @property
    def chosen(self) -> Task | None:
        """The task under the cursor; None on a step of several."""
        step, _, number = (self.query_one("#tasks", Listing).table.selected or "").partition("/")
        found = [task for task in self.tasks if task.step == step and number in ("", task.task)]
        return found[0] if len(found) == 1 else None

    def subject(self) -> tuple[str, Command] | None:
        measured = self.query_one(ContentSwitcher).current == "measured"
        command = commands.run_metrics if measured else commands.run_shown
        return (str(self._run_id), command(self._run_id))

    def url(self) -> str | None:
        return tracking_page(self.box_app.latest, self.run)

    @on(DataTable.RowSelected, "#tasks LiveTable")
    def _row_selected(self) -> None:
        """Open a step or a task: its tasks, and only its lines of the log; or close it again."""
        step, _, number = (self.query_one("#tasks", Listing).table.selected or "").partition("/")
        if not step:
            return
        pattern = f"/{step}/{number} " if number else f"/{step}/"
        shown = self._pane.pattern == pattern
        self._pane.filter("" if shown else pattern)
        if not number:
            self._unfolded = self._unfolded - {step} if shown else self._unfolded | {step}
        self.take()

    def apply_filter(self, pattern: str) -> None:
        here = self.query_one(ContentSwitcher).current
        if here == "data":
            self.query_one("#data", Listing).filter(pattern)
        else:
            self._pane.filter(pattern)

    def action_pane(self, name: str) -> None:
        self.query_one(ContentSwitcher).current = name
        self.take()

    def action_next_pane(self, step: int) -> None:
        names = [name for name, _ in PANES]
        here = names.index(self.query_one(ContentSwitcher).current or "log")
        self.action_pane(names[(here + step) % len(names)])

    def action_follow(self) -> None:
        self._pane.toggle_follow()

    def action_earlier(self) -> None:
        self._pane.earlier()
        self.box_app.poller.wake()

    def action_run(self) -> None:
        self.box_app.choose_flow(self.run)

    def action_cancel(self) -> None:
        if self.run:
            self.box_app.cancel(self.run)

    def action_resume(self) -> None:
        if self.run is None:
            return
        if self.run.state in (RunState.FAILED, RunState.CANCELLED):
            self.box_app.perform(commands.resume_run(self._run_id, self.run.flow))
        else:
            self.notify(f"Run {self._run_id} has not failed: it {self.run.state.value}.", markup=False)

    def action_trace(self) -> None:
        self.box_app.reveal("lineage", f"run/{self._run_id}")


def tracking_page(snapshot: Snapshot | None, run: Run | None) -> str | None:
    """Where MLflow shows a run."""
    services = snapshot.services if snapshot else ()
    server = next((service.url for service in services if service.name == "tracking" and service.url), None)
    return f"{server}/#/runs/{run.tracking_run_id}" if server and run and run.tracking_run_id else None
