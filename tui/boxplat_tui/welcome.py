"""No box here: what one is, and a way to make one with `box init`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.filter import LineFilter
from textual.widgets import Footer, Input, Static

from boxplat_tui import process
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import AsciiFilter
from boxplat_tui.lines import clean
from boxplat_tui.theme import DARK
from boxplat_tui.widgets.field import Field, after_keys

ABOUT = """\
A box is a project folder with everything that machine learning needs: flows, features, tracking, serving.

`box init` makes one. It comes with a sample that works: will this flight from New York arrive late?
The dashboard then leads you through it, from raw data to a served prediction.

In which folder? (It is made below {here})"""


class WelcomeApp(App[Path]):
    """Asks for a folder and makes a project in it.

    Args:
        here: the working directory.
        ascii: draw with ASCII only.
    """

    TITLE = "boxplat"
    CSS_PATH = Path(__file__).with_name("boxplat.tcss")
    CSS = "Screen { align: center middle; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "make", "Make it", key_display="enter", priority=True),
        Binding("ctrl+e", "empty", "With or without the sample", key_display="^e", priority=True),
        Binding("escape,ctrl+q", "leave", "Quit", key_display="esc", priority=True),
    ]

    def __init__(self, here: Path, ascii: bool = False) -> None:  # noqa: A002
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self._here = here
        self._empty = False
        self._busy = False
        self._ascii = AsciiFilter(enabled=ascii)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *([self._ascii] if self._ascii.enabled else [])]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("There is no box here yet", classes="headline")
            yield Static(ABOUT.format(here=clean(str(self._here))), markup=False, classes="about")
            yield Field("my-project", id="folder", compact=True)
            yield Static("", markup=False, id="preview", classes="command")
            yield Static("", markup=False, id="outcome")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._preview()

    def _command(self) -> Command:
        folder = self.query_one(Field).value.strip()
        return Command(("init", folder, *(["--empty"] if self._empty else [])))

    @on(Input.Changed)
    def _preview(self) -> None:
        self.query_one("#preview", Static).update(f"$ {self._command().text}")

    def action_empty(self) -> None:
        self._empty = not self._empty
        self._preview()

    def action_leave(self) -> None:
        self.exit()

    def action_make(self) -> None:
        after_keys(self.screen, self._start)

    def _start(self) -> None:
        folder = self.query_one(Field).value.strip()
        if folder and not self._busy:
            self.run_worker(self._make(folder))

    async def _make(self, folder: str) -> None:
        self._busy = True
        outcome, lines = self.query_one("#outcome", Static), list[str]()
        outcome.update("◐ making it")
        # Without a project there is none to name: `box init` is the one command that works anywhere.
        argv = [sys.executable, "-m", "boxplat", *self._command().words]
        status = await process.run(argv, str(self._here), lines.append)
        self._busy = False
        if status == 0:
            self.exit((self._here / folder).resolve())
        else:
            outcome.update("\n".join(lines[-6:]) or f"✗ failed with exit status {status}")


def welcome(here: Path, ascii: bool = False) -> Path | None:  # noqa: A002
    """Offer to make a project below `here`; returns its folder, or None where nobody wanted one."""
    return WelcomeApp(here, ascii).run()
