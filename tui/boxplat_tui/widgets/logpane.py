"""A log that follows its file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from boxplat.core.errors import BoxError
from boxplat_tui.format import size
from boxplat_tui.glyphs import Cell
from boxplat_tui.logfile import Chunk, LogFile
from boxplat_tui.snapshot import Box
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.logview import LogView

# Of a log that grows faster than it is read: 1 MiB a second.
_MOST_CHUNKS = 16
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d)\.\d+ \[[^/ ]+/([^ ]+) \(pid \d+\)\] ")


def shorten(line: str) -> str:
    """Metaflow's long prefix, `2026-11-22 14:02:11.123 [1763/fit/5 (pid 99)] `, as `14:02:11 fit/5 `."""
    return _PREFIX.sub(r"\1 \2 ", line, count=1)


class LogRead(Message):
    """More of a log came. Posted from the reading thread to the pane that asked for it."""

    def __init__(self, subject: str, path: Path, chunk: Chunk) -> None:
        super().__init__()
        self.subject = subject
        self.path = path
        self.chunk = chunk


class EarlierRead(Message):
    """Lines before all that a pane has, and the bytes there are before those. Posted from the reading thread."""

    def __init__(self, subject: str, lines: list[str], left: int) -> None:
        super().__init__()
        self.subject = subject
        self.lines = lines
        self.left = left


class LogPane(Vertical):
    """The last 2,000 lines of a log, filtered, at its end while it follows; `earlier` reads further back.

    `read` belongs to the reading thread, and with it `_source`; everything else belongs to the event loop.
    """

    def __init__(self, subject: str) -> None:
        super().__init__(id="log")
        self.subject = subject
        self.following = True
        self._left = 0
        self._earlier = self._again = False
        self._source: tuple[str, LogFile] | None = None
        self._view = LogView(shorten)
        self._head = Line(classes="head")

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._view

    def on_mount(self) -> None:
        self._title()

    @property
    def lines(self) -> list[str]:
        """What is shown."""
        return self._view.lines

    @property
    def pattern(self) -> str:
        """The filter."""
        return self._view.pattern

    def watch_log(self, subject: str) -> None:
        """Follow another log: a service's, or a run's by its number."""
        self.subject = subject
        self._left = 0
        self._view.clear()
        self._title()

    def earlier(self) -> None:
        """Read the lines before the first one, as soon as the box is read again."""
        self._view.make_room()
        if self._view.gap:
            self._view.clear()
            self._again = True
        self._earlier = True

    def read(self, box: Box) -> None:
        """Post what the log grew by."""
        subject = self.subject
        again, self._again = self._again, False
        if again or self._source is None or self._source[0] != subject:
            self._source = self._find(box, subject)
        if self._source is None:
            return
        file = self._source[1]
        for _ in range(_MOST_CHUNKS):
            chunk = file.read()
            if chunk.lines or chunk.restarted:
                self.post_message(LogRead(subject, file.path, chunk))
            if not chunk.more:
                break
        if self._earlier:
            self._earlier = False
            self.post_message(EarlierRead(subject, *file.earlier()))

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
        if chunk.skipped or chunk.restarted:
            self._left = chunk.skipped
        self._add(chunk.lines)
        self._title()

    def on_earlier_read(self, message: EarlierRead) -> None:
        if message.subject == self.subject:
            self._left = message.left
            self._view.prepend(message.lines)
            self._title()

    def filter(self, pattern: str) -> None:
        """Show only the lines that pass; n and N go through them among all the others."""
        if pattern != self.pattern:
            self._view.filter(pattern)
            self._title()

    def toggle_follow(self) -> None:
        """Stay at the end of the log, or stay where the reader is."""
        self.following = not self.following
        if self.following:
            self._view.action_scroll_end()
        self._title()

    def on_log_view_changed(self) -> None:
        self._title()

    def _add(self, lines: tuple[str, ...]) -> None:
        if lines:
            self._view.append(lines, self.following)

    def _title(self) -> None:
        view, tones = self._view, {"muted": "dim"}
        if view.empty:
            self._head.say(assemble(tones, Cell("LOG  nothing has been written yet", "muted")))
            return
        if not self.following:
            state = "paused: f follows"
        else:
            state = "following" if view.pinned else "scrolled back: G follows again"
        wrapped = " · wrapped" if view.wrap else ""
        way = "only what passes: n N m" if view.only else "all lines: n N m"
        found = f" · {way} · / {view.pattern}" if view.pattern else ""
        left = f" · {size(self._left)} before: E" if self._left else ""
        self._head.say(assemble(tones, Cell(f"LOG  {state}{left}{wrapped}{found}", "muted")))
