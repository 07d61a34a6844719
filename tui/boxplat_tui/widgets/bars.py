"""The lines around a screen: what the box is, which screen this is, what is wrong, and the filter."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, Static

from boxplat.core.model import Snapshot, State
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean

SCREENS = (
    ("overview", "Overview"),
    ("runs", "Runs"),
    ("queue", "Queue"),
    ("features", "Features"),
    ("models", "Models"),
    ("endpoints", "Endpoints"),
    ("lineage", "Lineage"),
    ("events", "Events"),
)
ROOMY = 7 + sum(len(label) + 4 for _, label in SCREENS)
SNUG = 7 + sum(len(label) + 2 for _, label in SCREENS)


class Line(Static):
    """Text that is drawn again only when it differs."""

    def __init__(self, name: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=name, classes=classes, markup=False)
        self._shown: Text | None = None

    def say(self, text: Text) -> None:
        """Show `text`."""
        before = self._shown
        if text != before or text.spans != getattr(before, "spans", None):
            self._shown = text
            self.update(text, layout=before is None or self._moves(before.plain, text.plain))

    def _moves(self, before: str, after: str) -> bool:
        """Whether other widgets may have to move for a new text: not for as many lines that fit as before."""
        if self.styles.width is not None and self.styles.width.is_auto:
            return cell_len(before) != cell_len(after)
        old, new, width = before.split("\n"), after.split("\n"), self.size.width
        return not before or not after or len(old) != len(new) or any(cell_len(line) > width for line in (*old, *new))

    @property
    def text(self) -> str:
        """What is shown."""
        return self._shown.plain if self._shown else ""


def assemble(tones: dict[str, str], *cells: Cell | str) -> Text:
    """One text from cells, which are made safe, and plain strings, which are taken as they are."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for cell in cells:
        if isinstance(cell, Cell):
            text.append(clean(cell.text), tones.get(cell.tone, ""))
        else:
            text.append(cell)
    return text


def health(snapshot: Snapshot) -> list[Cell]:
    """The services in a few words: `● 3 running  ▲ 1 unhealthy`."""
    counts: dict[State, int] = {}
    for service in snapshot.services:
        counts[service.state] = counts.get(service.state, 0) + 1
    shown = (
        (State.RUNNING, "●", "ok"),
        (State.STARTING, "◐", "busy"),
        (State.UNHEALTHY, "▲", "warn"),
        (State.FAILED, "✗", "bad"),
        (State.ASLEEP, "○", "muted"),
        (State.STOPPED, "○", "muted"),
    )
    return [Cell(f"{glyph} {counts[state]} {state.value}", tone) for state, glyph, tone in shown if state in counts]


class TitleBar(Vertical):
    """Two lines: the project and its health, and the screens."""

    def __init__(self, mode: str) -> None:
        super().__init__(id="title")
        self._mode = mode

    def compose(self) -> ComposeResult:
        with Horizontal(id="brand"):
            yield Line("project")
            yield Line("health")
        yield Static(self._tabs(78), id="tabs")

    def on_resize(self, event: Resize) -> None:
        self.query_one("#tabs", Static).update(self._tabs(event.size.width - 2))

    def _tabs(self, width: int) -> Content:
        """The screens in `width` cells: with air where there is room, else only their digits."""
        gap, parts = " " if width >= ROOMY else "", []
        for digit, (mode, label) in enumerate(SCREENS, 1):
            here = mode == self._mode
            style = "reverse bold" if here else "dim"
            text = f"{gap}{digit} {label}{gap}" if here or width >= SNUG else f" {digit} "
            parts.append(Content.from_markup(f"[@click=app.go('{mode}')][{style}]{text}[/][/]"))
        return Content(" ").join(parts)

    def show(self, snapshot: Snapshot, tones: dict[str, str], trail: str, said: str = "") -> None:
        """Follow the snapshot; `trail` names what this screen is about, `said` how old it is."""
        about = [Cell("boxplat", "strong"), Cell("  "), Cell(snapshot.project, "accent")]
        about += [Cell("  ·  ", "muted"), Cell(trail, "strong")] if trail else []
        about += [Cell("  ·  ", "muted"), Cell(said, "muted")] if said else []
        self.query_one("#project", Line).say(assemble(tones, *about))
        cells = health(snapshot) if snapshot.supervisor else [Cell("○ not running", "warn")]
        spaced = [part for cell in cells for part in (cell, "  ")][:-1]
        self.query_one("#health", Line).say(assemble(tones, *spaced))


class FilterBar(Horizontal):
    """Where a filter is typed; it stays in sight while one is on."""

    def __init__(self) -> None:
        super().__init__(id="filter")
        self.display = False

    def compose(self) -> ComposeResult:
        yield Static("/", id="slash")
        yield Input(placeholder="filter: a regular expression, ! in front leaves out what matches", compact=True)
