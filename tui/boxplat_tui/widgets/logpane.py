"""A log that follows its file."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message
from textual.widgets import Log

from boxplat.core.errors import BoxError
from boxplat_tui.format import size
from boxplat_tui.glyphs import Cell
from boxplat_tui.logfile import Chunk, LogFile
from boxplat_tui.snapshot import Box
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.table import matcher

MOST_LINES = 2000
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d)\.\d+ \[[^/ ]+/([^ ]+) \(pid \d+\)\] ")


def shorten(line: str) -> str:
    """Metaflow's long prefix, `2026-11-22 14:02:11.123 [1763/fit/5 (pid 99)] `, as `14:02:11 fit/5 `."""
    return _PREFIX.sub(r"\1 \2 ", line, count=1)


class LogView(Log):
    """The lines of a log, moved through with the keys of a pager."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Next line", show=False),
        Binding("k", "scroll_up", "Previous line", show=False),
        Binding("h", "scroll_left", "To the left (arrows too)", show=False),
        Binding("g", "scroll_home", "First line", show=False),
        Binding("G", "scroll_end", "Last line", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(max_lines=MOST_LINES, auto_scroll=False)

    def append(self, lines: Sequence[str], follow: bool) -> None:
        """Add lines at the end, and go there if `follow`."""
        self.write("".join(f"{line}\n" for line in lines[-MOST_LINES:]), scroll_end=False)
        # Log.write leaves the height as it was before the oldest lines were dropped.
        self.virtual_size = Size(self.virtual_size.width, self.line_count)
        if follow:
            self.scroll_end(animate=False, x_axis=False)


class LogRead(Message):
    """More of a log came. Posted from the reading thread to the pane that asked for it."""

    def __init__(self, subject: str, path: Path, chunk: Chunk) -> None:
        super().__init__()
        self.subject = subject
        self.path = path
        self.chunk = chunk


class LogPane(Vertical):
    """The last 2,000 lines of a log, filtered, at its end while it follows.

    `read` belongs to the reading thread, and with it `_source`; everything else belongs to the event loop.
    """

    def __init__(self, subject: str) -> None:
        super().__init__(id="log")
        self.subject = subject
        self.following = True
        self.pattern = ""
        self._source: tuple[str, LogFile] | None = None
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._view = LogView()
        self._head = Line(classes="head")

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._view

    def on_mount(self) -> None:
        self._title()

    @property
    def lines(self) -> list[str]:
        """What is shown."""
        return [line for line in self._view.lines if line]

    def watch_log(self, subject: str) -> None:
        """Follow another log: a service's, or a run's by its number."""
        self.subject = subject
        self._lines.clear()
        self._view.clear()
        self._title()

    def read(self, box: Box) -> None:
        """Post what the log grew by."""
        subject = self.subject
        if self._source is None or self._source[0] != subject:
            self._source = self._find(box, subject)
        if self._source is None:
            return
        file = self._source[1]
        chunk = file.read()
        if chunk.lines or chunk.restarted:
            self.post_message(LogRead(subject, file.path, chunk))

    def _find(self, box: Box, subject: str) -> tuple[str, LogFile] | None:
        try:
            path = box.log_path(subject)
        except BoxError as error:
            self.post_message(LogRead(subject, Path(), Chunk((error.what,))))
            return (subject, LogFile(Path(os.devnull)))
        return (subject, LogFile(path)) if path else None

    def on_log_read(self, message: LogRead) -> None:
        if message.subject != self.subject:
            return
        chunk = message.chunk
        if chunk.restarted:
            self._add(("— the log was rotated —",))
        if chunk.skipped:
            self._add((f"— {size(chunk.skipped)} before this are in {message.path} —",))
        self._add(chunk.lines)
        self._title()

    def filter(self, pattern: str) -> None:
        """Show only the lines that pass."""
        if pattern != self.pattern:
            self.pattern = pattern
            self._view.clear()
            kept = tuple(self._lines)
            self._lines.clear()
            self._add(kept)
            self._title()

    def toggle_follow(self) -> None:
        """Stay at the end of the log, or stay where the reader is."""
        self.following = not self.following
        if self.following:
            self._view.scroll_end(animate=False)
        self._title()

    def _add(self, lines: tuple[str, ...]) -> None:
        self._lines.extend(lines)
        passes = matcher(self.pattern)
        if shown := [shorten(line) for line in lines if passes(line)]:
            self._view.append(shown, self.following)

    def _title(self) -> None:
        tones = {"muted": "dim"}
        if not self._lines:
            self._head.say(assemble(tones, Cell("LOG  nothing has been written yet", "muted")))
            return
        state = "following" if self.following else "paused: f follows"
        shown = f" · filter {self.pattern}" if self.pattern else ""
        self._head.say(assemble(tones, Cell(f"LOG  {state}{shown}", "muted")))
