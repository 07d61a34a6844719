"""Choose how a thing is done: one of several commands, some of which need a word or a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Static

from boxplat_tui.commands import Command
from boxplat_tui.lines import clean
from boxplat_tui.widgets.field import Field, after_keys


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to do it.

    Args:
        says: in a few words.
        make: the command, from what was typed; a ValueError says what that lacks.
        asks: what to type; empty where nothing need be.
    """

    says: str
    make: Callable[[str], Command]
    asks: str = ""


class ChooseScreen(ModalScreen[Command | None]):
    """The ways, a field where one needs it, and the command that this makes with its effect."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Do it", key_display="enter", priority=True),
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
        Binding("escape", "dismiss(None)", "Close", key_display="esc", priority=True),
    ]

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = tuple(choices)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, markup=False, classes="headline")
            yield OptionList(*[Content(clean(choice.says)) for choice in self._choices], compact=True)
            yield Field(compact=True, id="typed")
            yield Static("", markup=False, id="effect")
            yield Static("", markup=False, id="preview", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = 0
        if any(choice.asks for choice in self._choices):
            options.can_focus = False
        self._chosen()

    @property
    def choice(self) -> Choice:
        """The way under the cursor."""
        return self._choices[self.query_one(OptionList).highlighted or 0]

    @on(OptionList.OptionHighlighted)
    def _chosen(self) -> None:
        field = self.query_one("#typed", Field)
        field.display = bool(self.choice.asks)
        field.placeholder = self.choice.asks
        if field.display:
            field.focus()
        self._preview()

    @on(Input.Changed)
    def _preview(self) -> None:
        effect = preview = ""
        try:
            command = self._command()
        except ValueError as error:
            preview = f"✗ {error}"
        else:
            effect, preview = command.effect, f"$ {command.text}"
        self.query_one("#effect", Static).update(effect)
        self.query_one("#preview", Static).update(preview)

    def _command(self) -> Command:
        return self.choice.make(self.query_one("#typed", Field).value.strip())

    def action_take(self) -> None:
        after_keys(self, self._take)

    @on(OptionList.OptionSelected)
    def _take(self) -> None:
        try:
            self.dismiss(self._command())
        except ValueError:
            self.app.bell()

    def action_step(self, by: int) -> None:
        options = self.query_one(OptionList)
        options.highlighted = ((options.highlighted or 0) + by) % len(self._choices)
