"""The forms of an endpoint: dividing its requests among releases, and making the next release."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from boxplat.core.model import Endpoint
from boxplat.core.percents import given
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell, meter
from boxplat_tui.screens import endpoint_ways
from boxplat_tui.screens.rows import model_of
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.field import Field, after_keys

_BAR = 24


class SplitScreen(ModalScreen[Command | None]):
    """Weights that are moved with the arrows; always 100 in all, with what comes of it and the command."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Split", key_display="enter"),
        Binding("down,j", "choose(1)", "Next", show=False),
        Binding("up,k", "choose(-1)", "Previous", show=False),
        Binding("right,l", "add(5)", "5 more", key_display="→"),
        Binding("left,h", "add(-5)", "5 less", key_display="←"),
        Binding("plus,equals_sign", "add(1)", "1 more", key_display="+"),
        Binding("minus", "add(-1)", "1 less", key_display="-"),
        Binding("a", "all", "All"),
        Binding("s", "shadow", "Shadow"),
        Binding("escape", "dismiss(None)", "Close", key_display="esc"),
    ]

    def __init__(self, endpoint: Endpoint, chosen: int | None, tones: dict[str, str]) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._tones = tones
        self._releases = endpoint_ways.candidates(endpoint)
        self._numbers = [release.number for release in self._releases]
        self._at = self._numbers.index(chosen) if chosen in self._numbers else len(self._numbers) - 1
        self.weights = {number: percent for number, percent in endpoint.traffic.items() if percent}
        self.shadow = endpoint.shadow

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(f"Divide the requests of {self._endpoint.name}", markup=False, classes="headline")
            yield Line("weights")
            yield Static("", markup=False, id="effect")
            yield Static("", markup=False, id="preview", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._show()

    @property
    def number(self) -> int:
        """The release under the cursor."""
        return self._numbers[self._at]

    def command(self) -> Command:
        """What the weights make."""
        return commands.split(self._endpoint.name, self.weights, self.shadow)

    def _show(self) -> None:
        self.query_one("#weights", Line).say(Text("\n").join(self._line(number) for number in self._numbers))
        said = endpoint_ways.outcome(self._endpoint, self.weights, self.shadow)
        self.query_one("#effect", Static).update(said)
        self.query_one("#preview", Static).update(f"$ {self.command().text}")

    def _line(self, number: int) -> Text:
        here, percent = number == self.number, self.weights.get(number, 0)
        model = model_of(next(release for release in self._releases if release.number == number))
        before = self._endpoint.traffic.get(number, 0)
        now = "a copy of each" if number == self.shadow else f"{percent} %"
        tone = "accent" if percent else "muted"
        return assemble(
            self._tones,
            Cell("→ " if here else "  ", "accent"),
            Cell(f"{f'#{number}':<5}{model:<16.16}", "strong" if here else ""),
            *meter(percent / 100, _BAR, tone),
            Cell(f" {now:>6}", "strong" if here else ""),
            Cell(f"   now {before} %" if before != percent else "", "muted"),
        )

    def action_choose(self, by: int) -> None:
        self._at = (self._at + by) % len(self._numbers)
        self._show()

    def action_add(self, percent: int) -> None:
        wanted = min(max(self.weights.get(self.number, 0) + percent, 0), 100)
        self._give(wanted)

    def action_all(self) -> None:
        self._give(100)

    def _give(self, percent: int) -> None:
        self.weights = given(self.weights, self.number, percent)
        if self.shadow in self.weights:
            self.shadow = None
        self._show()

    def action_shadow(self) -> None:
        if self.shadow == self.number:
            self.shadow = None
        else:
            rest = given(self.weights, self.number, 0)
            if self.number in rest:
                self.app.bell()
                return
            self.weights, self.shadow = rest, self.number
        self._show()

    def action_take(self) -> None:
        changed = (self.weights, self.shadow) != (dict(self._endpoint.traffic), self._endpoint.shadow)
        self.dismiss(self.command() if changed else None)


class DeployScreen(ModalScreen[Command | None]):
    """Which version of the model, with how many of the requests; shows the command that this makes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Deploy", key_display="enter", priority=True),
        Binding("tab", "app.focus_next", "Next field"),
        Binding("escape", "dismiss(None)", "Close", key_display="esc", priority=True),
    ]

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(f"Make the next release of {self._endpoint.name}", markup=False, classes="headline")
            yield Static("percent of the requests", classes="label")
            yield Field("100", compact=True, id="deploy-percent", type="integer", max_length=3)
            yield Static("version of the model", classes="label")
            yield Field(
                placeholder="a number or an alias; empty: the endpoint's alias", compact=True, id="deploy-version"
            )
            yield Static("", markup=False, id="effect")
            yield Static("", markup=False, id="preview", classes="command")
            yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._preview()

    @on(Input.Changed)
    def _preview(self) -> None:
        effect = ""
        try:
            command = self._command()
        except ValueError as error:
            preview = f"✗ {error}"
        else:
            preview, effect = f"$ {command.text}", self._effect()
        self.query_one("#effect", Static).update(effect)
        self.query_one("#preview", Static).update(preview)

    @property
    def _percent(self) -> int:
        text = self.query_one("#deploy-percent", Field).value
        if not text.isdecimal() or not 0 <= int(text) <= 100:
            raise ValueError("a percentage is a number from 0 to 100")
        if 0 < int(text) < 100 and not any(self._endpoint.traffic.values()):
            raise ValueError("nothing serves yet that could have the rest of the requests: 100")
        return int(text)

    def _command(self) -> Command:
        return commands.deploy(
            self._endpoint.name, self.query_one("#deploy-version", Field).value.strip(), self._percent
        )

    def _effect(self) -> str:
        percent = self._percent
        serving = sorted(number for number, weight in self._endpoint.traffic.items() if weight)
        others = " and ".join(f"release {number}" for number in serving)
        begin = "It is built, started beside what serves, and warmed up."
        if percent == 0:
            return f"{begin} Then it stops, ready for a split."
        if percent == 100:
            return f"{begin} Then it gets all requests{f' in place of {others}' if others else ''}."
        keep = "keeps" if len(serving) == 1 else "keep"
        return f"{begin} Then it gets {percent} % of the requests; {others} {keep} the rest."

    def action_take(self) -> None:
        after_keys(self, self._take)

    def _take(self) -> None:
        try:
            self.dismiss(self._command())
        except ValueError:
            self.app.bell()
