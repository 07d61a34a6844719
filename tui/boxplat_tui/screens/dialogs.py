"""What comes up over a screen: confirm, run a flow, try a prediction, a command's output, help."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Static, TextArea

from boxplat.core.model import Run
from boxplat_tui import commands, flows
from boxplat_tui.commands import Command
from boxplat_tui.jobs import Job
from boxplat_tui.widgets.field import Field, after_keys
from boxplat_tui.widgets.logview import LogView


def _plain(text: str, name: str | None = None, classes: str | None = None) -> Static:
    return Static(text, markup=False, id=name, classes=classes)


class ConfirmScreen(ModalScreen[bool]):
    """Says what a dangerous command will do, and asks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes, do it"),
        Binding("n,escape", "answer(False)", "No", key_display="n"),
    ]

    def __init__(self, command: Command) -> None:
        super().__init__()
        self._command = command

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -danger"):
            yield _plain("Are you sure?", classes="headline")
            yield _plain(self._command.effect)
            yield _plain(f"$ {self._command.text}", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class JobScreen(ModalScreen[None]):
    """A command and its output as it comes. A success goes away by itself unless its output is the point."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Cancel, or close", key_display="esc"),
        Binding("enter", "leave", "Close, let it run on", key_display="enter"),
        Binding("C", "copy", "Copy the command", show=False),
    ]

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self._log = LogView()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -sheet"):
            yield _plain(f"$ {self.job.command.text}", classes="command")
            yield self._log
            yield _plain(self.job.outcome(), "outcome")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._log.append(list(self.job.lines), follow=True)
        self.refresh_outcome()
        self.set_interval(1.0, self.refresh_outcome)

    def add(self, line: str) -> None:
        """One more line of output."""
        self._log.append([line], follow=True)

    def refresh_outcome(self) -> None:
        """Say how the command stands."""
        self.query_one("#outcome", Static).update(self.job.outcome())

    def read_from_the_top(self) -> None:
        """Show the first lines: an answer is read from its beginning."""
        self._log.scroll_home(animate=False)

    def action_escape(self) -> None:
        if self.job.over:
            self.dismiss()
        else:
            self.job.cancel()

    def action_leave(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.job.command.text)


class FlowScreen(ModalScreen[Command | None]):
    """Choose a flow and its parameters; shows the command that this makes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "run", "Run", key_display="enter", priority=True),
        Binding("tab", "other_field", "Parameters", priority=True),
        Binding("escape", "dismiss(None)", "Close", key_display="esc"),
    ]

    def __init__(self, root: Path, again: Run | None, runs: tuple[Run, ...]) -> None:
        super().__init__()
        self._root = root
        self._flows = flows.flow_files(root)
        self._last = {run.flow: run for run in reversed(runs)}
        if again is not None:
            self._last[again.flow] = again
            self._flows = list(dict.fromkeys([*self._flows, again.flow]))
        self._first = self._flows.index(again.flow) if again is not None else 0
        self._shown = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield _plain("Run a flow", classes="headline")
            if self._flows:
                yield OptionList(*[Content(flow) for flow in self._flows], compact=True)
                yield _plain("", "names")
                # What was typed last is there to be changed: selected, the first key would take it all away.
                typed = "name=value name=value; what is left out keeps its default"
                yield Field(placeholder=typed, id="params", compact=True, select_on_focus=False)
            else:
                yield _plain("There is no flow here yet: a file in flows/ with a class of FlowSpec.")
            yield _plain("", "preview", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        if self._flows:
            self.query_one(OptionList).highlighted = self._first

    def action_other_field(self) -> None:
        # Typed fast, tab comes before anything has the focus: the parameters are what it is for. And the keys after it
        # may have come with it, so that `Widget.focus`, which waits its turn, would be too late for them.
        if self._flows:
            field = self.query_one("#params", Field)
            self.set_focus(self.query_one(OptionList) if field.has_focus else field)

    @property
    def flow(self) -> str | None:
        """The flow that is chosen."""
        chosen = self.query_one(OptionList).highlighted if self._flows else None
        return None if chosen is None else self._flows[chosen]

    @on(OptionList.OptionHighlighted)
    def _chosen(self) -> None:
        # It is told more than once of the same flow, also after parameters were typed.
        if self.flow is None or self.flow == self._shown:
            return
        self._shown = self.flow
        self.query_one("#names", Static).update(self._about(self._root / self.flow))
        last = self._last.get(self.flow)
        params = last.params if last else {}
        field = self.query_one("#params", Field)
        field.value = commands.parameter_text(params)
        field.cursor_position = len(field.value)
        self._preview()

    @staticmethod
    def _about(path: Path) -> str:
        given = [f"{name}={default}" if default else name for name, default in flows.parameters(path).items()]
        lines = [flows.purpose(path), f"parameters: {', '.join(given)}" if given else "takes no parameters"]
        return "\n".join([line for line in lines if line])

    @on(Input.Changed)
    def _preview(self) -> None:
        preview = self.query_one("#preview", Static)
        try:
            command = self._command()
        except ValueError as error:
            preview.update(f"✗ {error}")
        else:
            preview.update(f"$ {command.text}" if command else "")

    def _command(self) -> Command | None:
        text = self.query_one("#params", Field).value if self._flows else ""
        return commands.run(self.flow, commands.parameters(text)) if self.flow else None

    def action_run(self) -> None:
        after_keys(self, self._run)

    @on(OptionList.OptionSelected)
    def _run(self) -> None:
        try:
            command = self._command()
        except ValueError:
            self.app.bell()
        else:
            self.dismiss(command)


class PredictScreen(ModalScreen[Command | None]):
    """Ask an endpoint for a prediction, with JSON or a file of it; shows the command that this makes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "send", "Send", priority=True),
        Binding("escape", "dismiss(None)", "Close", key_display="esc", priority=True),
    ]

    def __init__(self, endpoint: str, data: str, root: Path) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._data = data
        self._root = root

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield _plain(f"Ask {self._endpoint} for a prediction: JSON, or @file", classes="headline")
            yield TextArea(self._data, compact=True, show_line_numbers=False, id="data")
            yield _plain("", "preview", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._preview()

    @on(TextArea.Changed)
    def _preview(self) -> None:
        try:
            text = f"$ {self._command().text}"
        except ValueError as error:
            text = f"✗ {error}"
        self.query_one("#preview", Static).update(text)

    def _command(self) -> Command:
        return commands.predict(self._endpoint, commands.prediction_data(self.query_one(TextArea).text, self._root))

    def action_send(self) -> None:
        after_keys(self, self._send)

    def _send(self) -> None:
        try:
            self.dismiss(self._command())
        except ValueError:
            self.app.bell()


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below, and the keys that work everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss(None)", "Close", key_display="esc"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, about: str, keys: list[tuple[str, str]]) -> None:
        super().__init__()
        self._about = about
        self._keys = keys

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield _plain("Keys of this screen", classes="headline")
            with VerticalScroll(can_focus=False):
                yield _plain(self._about, classes="about")
                yield _plain(self._columns(), "keys")
            yield Footer(show_command_palette=False, compact=True)

    def _columns(self) -> str:
        half = (len(self._keys) + 1) // 2
        entries = [f"{key:>9}  {says:<24}" for key, says in self._keys] + [""]
        return "\n".join(left + right for left, right in zip(entries[:half], entries[half:], strict=False))

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
