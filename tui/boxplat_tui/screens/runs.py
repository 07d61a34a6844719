"""The runs, and one run with its tasks and the log that follows."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.widgets import DataTable

from boxplat.core.model import Run, Snapshot, Task
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.format import NONE, duration, moment
from boxplat_tui.glyphs import Cell, run_state
from boxplat_tui.lines import clean
from boxplat_tui.screens import rows
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.logpane import LogPane
from boxplat_tui.widgets.table import Listing


class RunsScreen(BoxScreen):
    """The newest runs."""

    MODE = "runs"
    HELP = "Every execution of a flow, the newest first. Enter shows its steps and its log."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "Run"),
        Binding("x", "cancel", "Cancel"),
        Binding("l", "log", "Log"),
    ]

    def body(self) -> ComposeResult:
        yield Listing(rows.RUNS, f"Nothing has run yet: box run {self.box_app.first_flow} --wait  (r)", "runs")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one(Listing).show(rows.runs(snapshot))

    @property
    def run(self) -> Run | None:
        """The run under the cursor."""
        key = self.query_one(Listing).table.selected
        return self.box_app.find_run(int(key)) if key else None

    def subject(self) -> tuple[str, Command] | None:
        return (str(self.run.id), commands.run(self.run.flow, self.run.params)) if self.run else None

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


class TasksRead(Message):
    """The tasks of a run. Posted from the reading thread."""

    def __init__(self, tasks: tuple[Task, ...]) -> None:
        super().__init__()
        self.tasks = tasks

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, TasksRead)


class RunScreen(BoxScreen):
    """One run: what it is, its tasks, its log."""

    MODE = "runs"
    HELP = (
        "One run. Enter on a task filters the log to its step; f stops and starts following; / filters; esc goes back."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "Follow"),
        Binding("r", "run", "Again"),
        Binding("x", "cancel", "Cancel"),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    def __init__(self, run_id: int) -> None:
        super().__init__()
        self._run_id = run_id
        self._tasks: tuple[Task, ...] = ()
        self._pane = LogPane(str(run_id))

    @property
    def trail(self) -> str:
        return f"run {self._run_id}"

    @property
    def run(self) -> Run | None:
        return self.box_app.find_run(self._run_id)

    def body(self) -> ComposeResult:
        yield Line("about")
        with Container(id="run"):
            yield Listing(rows.TASKS, "No task has started yet.", "tasks")
            yield self._pane

    def read(self) -> None:
        self.post_message(TasksRead(self.box_app.box.tasks(self._run_id)))
        self._pane.read(self.box_app.box)

    def show(self, snapshot: Snapshot) -> None:
        if self.run:
            self.query_one("#about", Line).say(self._about(self.run, snapshot.at))
        self.query_one("#tasks", Listing).show(rows.tasks(self._tasks, snapshot.at))

    def on_tasks_read(self, message: TasksRead) -> None:
        if message.tasks != self._tasks:
            self._tasks = message.tasks
            self.take()

    def _about(self, run: Run, now: float) -> Text:
        lines = [
            assemble(
                self.tones,
                Cell(run.name, "strong"),
                "  ",
                run_state(run.state),
                Cell(f"  {duration(rows.taken(run, now))}  since {moment(run.started or run.created)}", "muted"),
            ),
            assemble(self.tones, Cell("$ " + commands.run(run.flow, run.params).text, "accent")),
            assemble(
                self.tones,
                Cell(f"metaflow {run.pathspec or NONE}   mlflow {run.tracking_run_id or NONE}", "muted"),
            ),
        ]
        if run.error:
            lines.append(assemble(self.tones, Cell(clean(run.error.strip().splitlines()[-1]), "bad")))
        return Text("\n").join(lines)

    def subject(self) -> tuple[str, Command] | None:
        return (str(self._run_id), commands.logs(str(self._run_id)))

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_step()

    def action_step(self) -> None:
        key = self.query_one("#tasks", Listing).table.selected
        step = f"/{key.partition('/')[0]}/" if key else ""
        self._pane.filter("" if self._pane.pattern == step else step)

    def apply_filter(self, pattern: str) -> None:
        self._pane.filter(pattern)

    def action_follow(self) -> None:
        self._pane.toggle_follow()

    def action_run(self) -> None:
        self.box_app.choose_flow(self.run)

    def action_cancel(self) -> None:
        if self.run:
            self.box_app.cancel(self.run)
