"""Ask after something by its id, or choose one of what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Static

from boxplat_tui.lines import clean
from boxplat_tui.widgets.field import Field, after_keys

_MOST = 100


class AskScreen(ModalScreen[str | None]):
    """A line to type an id into, over what there is to choose from; typing narrows it.

    Args:
        title: what is asked for.
        choices: gives the ids and what each is, asked again while the dialog is open.
        spelling: the command that an id makes, which is shown.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Show it", key_display="enter", priority=True),
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
        Binding("escape", "dismiss(None)", "Close", key_display="esc", priority=True),
    ]

    def __init__(
        self, title: str, choices: Callable[[], Sequence[tuple[str, str]]], spelling: Callable[[str], str]
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._spelling = spelling
        self._shown: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, markup=False, classes="headline")
            yield Field(placeholder="an id: type it, paste it, or choose with the arrows", compact=True)
            yield OptionList(compact=True)
            yield Static("", markup=False, id="preview", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self.set_interval(1.0, self._narrow)
        self._narrow()

    @on(Input.Changed)
    def _narrow(self) -> None:
        """Show the choices that have what is typed; keep the one that is chosen if it is among them."""
        typed, options = self.query_one(Field).value.strip().lower(), self.query_one(OptionList)
        found = [one for one in self._choices() if typed in one[0].lower() or typed in one[1].lower()][:_MOST]
        if found != self._shown:
            chosen = self.chosen
            self._shown = found
            options.set_options(Content(f"{clean(name):<28} {clean(says)}") for name, says in found)
            options.highlighted = next((at for at, one in enumerate(found) if one[0] == chosen), None)
        self._preview()

    @property
    def chosen(self) -> str:
        """The choice under the cursor, else what is typed, else the first choice."""
        at, typed = self.query_one(OptionList).highlighted, self.query_one(Field).value.strip()
        if at is not None and at < len(self._shown):
            return self._shown[at][0]
        return typed or (self._shown[0][0] if self._shown else "")

    @on(OptionList.OptionHighlighted)
    def _preview(self) -> None:
        self.query_one("#preview", Static).update(f"$ {self._spelling(self.chosen)}" if self.chosen else "")

    def action_take(self) -> None:
        after_keys(self, self._take)

    @on(OptionList.OptionSelected)
    def _take(self) -> None:
        self._narrow()
        self.dismiss(self.chosen or None)

    def action_step(self, by: int) -> None:
        options = self.query_one(OptionList)
        if not self._shown:
            return
        at = options.highlighted
        options.highlighted = (0 if by > 0 else len(self._shown) - 1) if at is None else (at + by) % len(self._shown)
