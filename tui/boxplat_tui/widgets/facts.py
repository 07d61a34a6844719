"""What is known of one thing: names and values, a long value going on below its beginning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.events import Resize

from boxplat_tui.lines import clean
from boxplat_tui.widgets.bars import Line

_WIDEST = 24
_LEAST = 20


def layout(pairs: Iterable[tuple[str, str]], tones: Mapping[str, str], width: int, console: Console) -> Text:
    """A line a pair within `width` cells; names in the tone `muted`."""
    known = [(clean(name, _WIDEST), clean(value)) for name, value in pairs]
    column = max((len(name) for name, _ in known), default=0) + 2
    lines = []
    for name, value in known:
        parts = Text(value).wrap(console, max(width - column, _LEAST), overflow="fold") or [Text("")]
        for place, part in enumerate(parts):
            part.rstrip()
            lines.append(Text.assemble(("" if place else name).ljust(column), part))
            lines[-1].stylize(tones.get("muted", ""), 0, column)
    return Text("\n").join(lines)


class Facts(VerticalScroll):
    """A head and what is known, as wide as there is room; scrolled where it is longer."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name, classes="facts")
        self._line = Line()
        self._shown: tuple[Text, list[tuple[str, str]], Mapping[str, str]] | None = None

    def compose(self) -> ComposeResult:
        yield self._line

    def tell(self, head: Text, pairs: Iterable[tuple[str, str]], tones: Mapping[str, str]) -> None:
        """Show what is known; from its beginning where it is of something else than before."""
        known = list(pairs)
        if self._shown is None or self._shown[0] != head:
            self.scroll_home(animate=False)
        self._shown = (head, known, tones)
        self._draw()

    def on_resize(self, event: Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._shown is not None:
            head, pairs, tones = self._shown
            body = layout(pairs, tones, self.scrollable_content_region.width - 1, self.app.console)
            self._line.say(Text("\n").join([head, body]) if body else head)
