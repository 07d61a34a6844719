"""Lines of text as a pager shows them: wrapped or not, all or only those that pass, with what was found marked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from boxplat.core.patterns import expression, matcher

MOST_LINES = 2000
_FOUND = Style(reverse=True)


class Line(NamedTuple):
    """A line: its number since the beginning, as it was written, and as it is shown."""

    number: int
    raw: str
    shown: str


class Row(NamedTuple):
    """What one row of the screen shows: a line, or the part of it from `start` on."""

    line: Line
    start: int
    text: str


class LogView(ScrollView, can_focus=True):
    """The last 2,000 lines (more where a reader asks for them), moved through with the keys of a pager.

    Args:
        shorten: how a line is shown.
    """

    ALLOW_SELECT = True
    DEFAULT_CSS = "LogView { overflow: scroll; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Next line", show=False),
        Binding("k", "scroll_up", "Previous line", show=False),
        Binding("h", "scroll_left", "To the left (arrows too)", show=False),
        Binding("g", "scroll_home", "First line", show=False),
        Binding("G", "scroll_end", "Last line", show=False),
        Binding("w", "wrap", "Wrap"),
        Binding("n", "found(1)", "Next that / found", show=False),
        Binding("N", "found(-1)", "The one before", show=False),
        Binding("m", "only", "Only what / found, or all", show=False),
    ]

    class Changed(Message):
        """What is shown, or whether it is the end, changed."""

    def __init__(self, shorten: Callable[[str], str] = str) -> None:
        super().__init__()
        self.wrap = False
        self.only = True
        self.pinned = True
        self.pattern = ""
        self._shorten = shorten
        self._count = self._first = 0
        self._room = MOST_LINES
        self._all: deque[Line] = deque()
        self._rows: deque[Row] = deque()
        self._widest = 0
        self._here = -1
        self._laid_out_for = 0

    @property
    def lines(self) -> list[str]:
        """What is shown, a line an entry."""
        return [row.line.shown for row in self._rows if not row.start]

    @property
    def empty(self) -> bool:
        """Whether there is no line at all, shown or not."""
        return not self._all

    @property
    def gap(self) -> bool:
        """Whether lines were dropped at the top, so that earlier ones would not fit to what is there."""
        return bool(self._all) and self._all[0].number > self._first

    def make_room(self) -> None:
        """Keep 20,000 more lines from now on, 100,000 at most."""
        self._room = min(self._room + 20_000, 100_000)

    def prepend(self, lines: Sequence[str]) -> None:
        """Add the lines before the first one; what is in sight stays there."""
        top = self._top()
        for raw in reversed(lines[-max(self._room - len(self._all), 0) :]):
            self._first -= 1
            self._all.appendleft(Line(self._first, raw, self._shorten(raw)))
        self._relay()
        self._to_end() if self.pinned else self._go(top)

    def append(self, lines: Sequence[str], follow: bool) -> None:
        """Add lines at the end; go there if `follow`, unless the reader has moved away from the end."""
        self._count += max(len(lines) - self._room, 0)
        for raw in lines[-self._room :]:
            line = Line(self._count, raw, self._shorten(raw))
            self._count += 1
            self._all.append(line)
            if self._passes(line):
                self._lay(line)
        while len(self._all) > self._room:
            self._all.popleft()
        first = self._all[0].number if self._all else self._count
        dropped = 0
        while self._rows and self._rows[0].line.number < first:
            self._rows.popleft()
            dropped += 1
        self._fit()
        if follow and self.pinned:
            self._to_end()
        elif dropped:
            self.scroll_to(y=max(self.scroll_y - dropped, 0), animate=False, immediate=True)

    def clear(self) -> None:
        """Forget every line."""
        self._all.clear()
        self._first, self.pinned = self._count, True
        self._relay()

    def filter(self, pattern: str) -> None:
        """Show only the lines that pass."""
        self.pattern, self.only, self._here = pattern, True, -1
        self._relay()
        if self.pinned:
            self._to_end()

    def action_scroll_end(self) -> None:
        self._to_end()

    def action_wrap(self) -> None:
        top = self._top()
        self.wrap = not self.wrap
        self._relay()
        self._to_end() if self.pinned else self._go(top)

    def action_only(self) -> None:
        """Change between the lines that pass and all of them."""
        if self.pattern:
            top = self._top()
            self.only = not self.only
            self._relay()
            self._go(top)

    def action_found(self, way: int) -> None:
        """Go to the next line that passes (`way` 1) or the one before (-1), among all the others."""
        if not self.pattern:
            self.notify("Type / and what to look for first.")
            return
        if self.only:
            top = self._top()
            self.only, self._here = False, top - way if self._here < 0 else self._here
            self._relay()
        passing = [line.number for line in self._all if self._matches(line)]
        further = [number for number in passing[::way] if (number - self._here) * way > 0]
        if found := further or passing[::way]:
            self._here = found[0]
            self._go(self._here, middle=True)
        else:
            self.notify("Nothing passes the filter.")

    # Laying out.

    def _matches(self, line: Line) -> bool:
        passes = matcher(self.pattern)
        if self.pattern.startswith("!"):
            return passes(line.raw) and passes(line.shown)
        return passes(line.raw) or passes(line.shown)

    def _passes(self, line: Line) -> bool:
        return not (self.only and self.pattern) or self._matches(line)

    def _lay(self, line: Line) -> None:
        width = self.scrollable_content_region.width
        self._widest = max(self._widest, _width(line.shown))
        if not self.wrap or not width or _width(line.shown) <= width:
            self._rows.append(Row(line, 0, line.shown))
            return
        start = 0
        for part in chop_cells(line.shown, width):
            self._rows.append(Row(line, start, part))
            start += len(part)

    def _relay(self) -> None:
        self._rows.clear()
        self._widest = 0
        for line in self._all:
            if self._passes(line):
                self._lay(line)
        self._fit()
        self.post_message(self.Changed())

    def _fit(self) -> None:
        width = self.scrollable_content_region.width if self.wrap else self._widest
        self.virtual_size = Size(width, len(self._rows))
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        width = self.scrollable_content_region.width
        if width != self._laid_out_for:
            self._laid_out_for, top = width, self._top()
            if self.wrap:
                self._relay()
            self._to_end() if self.pinned else self._go(top)
        elif self.pinned:
            self._to_end()

    # Moving.

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end_or_not()

    def _at_end_or_not(self) -> None:
        if self.pinned != (self.scroll_y >= self.max_scroll_y):
            self.pinned = not self.pinned
            self.post_message(self.Changed())

    def _to_end(self) -> None:
        self.scroll_end(animate=False, immediate=True, x_axis=False)
        self.pinned = True

    def _top(self) -> int:
        """The number of the line at the top."""
        at = int(self.scroll_y)
        return self._rows[at].line.number if at < len(self._rows) else -1

    def _go(self, number: int, middle: bool = False) -> None:
        """To a line by its number, or the next one that is shown."""
        at = next((place for place, row in enumerate(self._rows) if row.line.number >= number), len(self._rows))
        above = self.size.height // 2 if middle else 0
        self.scroll_to(y=max(at - above, 0), animate=False, immediate=True)
        self._at_end_or_not()
        self.refresh()

    # Drawing.

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width, style, at = self.size.width, self.rich_style, top + y
        if at >= len(self._rows):
            return Strip.blank(width, style)
        row = self._rows[at]
        text = Text(row.text, style, no_wrap=True)
        for begin, end in self._spans(row):
            text.stylize(_FOUND if row.line.number != self._here else _FOUND + Style(bold=True), begin, end)
        if self.text_selection is not None and (span := self.text_selection.get_span(at)) is not None:
            begin, end = span
            chosen = self.screen.get_component_rich_style("screen--selection")
            text.stylize(chosen, begin, len(text) if end == -1 else end)
        # Without a span Rich leaves the style of a text out.
        strip = Strip(text.render(self.app.console), cell_len(row.text)).apply_style(style)
        return strip.crop_extend(left, left + width, style).apply_offsets(left, at)

    def _spans(self, row: Row) -> Iterator[tuple[int, int]]:
        """Where in a row something was found."""
        if not self.pattern or self.pattern.startswith("!"):
            return
        for match in expression(self.pattern).finditer(row.line.shown):
            begin, end = match.start() - row.start, match.end() - row.start
            if begin < end and end > 0 and begin < len(row.text):
                yield max(begin, 0), min(end, len(row.text))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return selection.extract("\n".join(row.text for row in self._rows)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
