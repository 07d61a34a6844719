"""States as glyph and word (never colour alone), small graphs made of text, and their plain ASCII forms."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from boxplat.core.model import RunState, State
from boxplat_tui.format import NONE, share
from boxplat_tui.lines import without_controls


class Cell(NamedTuple):
    """A text and its tone: one of ok, busy, warn, bad, muted, accent, strong, or empty."""

    text: str
    tone: str = ""


_SERVICE = {
    State.STOPPED: Cell("○ stopped", "muted"),
    State.WAITING: Cell("◌ waiting", "muted"),
    State.STARTING: Cell("◐ starting", "busy"),
    State.RUNNING: Cell("● running", "ok"),
    State.ASLEEP: Cell("○ asleep", "muted"),
    State.UNHEALTHY: Cell("▲ unhealthy", "warn"),
    State.STOPPING: Cell("◑ stopping", "busy"),
    State.FAILED: Cell("✗ failed", "bad"),
}
_RUN = {
    RunState.QUEUED: Cell("◌ queued", "muted"),
    RunState.RUNNING: Cell("◐ running", "busy"),
    RunState.SUCCEEDED: Cell("✓ succeeded", "ok"),
    RunState.FAILED: Cell("✗ failed", "bad"),
    RunState.CANCELLED: Cell("■ cancelled", "muted"),
}
_BLOCKS = " ▁▂▃▄▅▆▇█"


def service_state(state: State) -> Cell:
    """A service's state: `● running`."""
    return _SERVICE[state]


def run_state(state: RunState) -> Cell:
    """The state of a run or of a task: `✓ succeeded`."""
    return _RUN[state]


def graph(values: Sequence[float | None], width: int, height: int = 1, top: float = 100.0) -> list[str]:
    """The last `width` values as columns against a fixed `top`; missing ones stay blank.

    Returns:
        `height` lines of `width` characters, the uppermost first.
    """
    shown = [*[None] * max(width - len(values), 0), *list(values)[-width:]]
    eighths = [None if value is None else max(round(share(value, top) * height * 8), 1) for value in shown]
    return [
        "".join(" " if full is None else _BLOCKS[min(max(full - 8 * row, 0), 8)] for full in eighths)
        for row in reversed(range(height))
    ]


def meter(fraction: float, width: int, tone: str) -> tuple[Cell, Cell]:
    """A horizontal bar of `width` characters, `━━━─────`: what is full, in `tone`, and the rest."""
    full = max(round(min(fraction, 1.0) * width), 1) if fraction > 0 else 0
    return Cell("━" * full, tone), Cell("─" * (width - full), "muted")


# By how many of a braille letter's eight dots there are.
_DOTS = " ..::oo##"
_ASCII = str.maketrans(
    {
        **dict(zip("●◐◌○▲◑✗✓■◆·…—→←↑↓▼▶≠█▓▒▞░▊▎▌▐▍★◇", "*~.o!~x+#>-.-><^vv>!#%=:.|||||*o", strict=True)),
        NONE: "-",
        **dict.fromkeys("━═", "="),
        **dict.fromkeys("─╌▔▁", "-"),
        **dict.fromkeys("│┃║▏▕", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛", "+"),
        **dict(zip("▂▃▄▅▆▇", "_.:=+*", strict=True)),
    }
)


@lru_cache(4096)
def to_ascii(text: str) -> str:
    """`text` in ASCII, in as many terminal cells as before."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else _plain(char) for char in text.translate(_ASCII))


def _plain(char: str) -> str:
    if "\u2800" <= char <= "\u28ff":
        return _DOTS[bin(ord(char) - 0x2800).count("1")]
    letter = unicodedata.normalize("NFKD", char)[:1]
    return letter if letter.isascii() and cell_len(char) == 1 else "?" * cell_len(char)


class AsciiFilter(LineFilter):
    """Turns whatever a widget drew (borders, scroll bars, graphs, data) into ASCII, for terminals that have no more."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]


class SafeFilter(LineFilter):
    """Lets no widget write control characters, whatever text it was given: a terminal would obey them."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(without_controls(text), style, control) for text, style, control in segments]
