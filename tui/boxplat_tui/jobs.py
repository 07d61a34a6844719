"""A `box` command under way: its output so far and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from boxplat_tui import process
from boxplat_tui.commands import Command
from boxplat_tui.format import span

MOST_LINES = 2000


class Job:
    """Runs a command and keeps its last 2,000 lines. `changed` is called after each line and at the end."""

    def __init__(self, command: Command, root: str) -> None:
        self.command = command
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        self.status: int | None = None
        self.cancelled = False
        self.failure = ""
        self.changed: Callable[[str | None], None] = lambda line: None
        self._root = root
        self._argv = command.argv(root)
        self._task: asyncio.Task[None] | None = None
        self._began = time.monotonic()

    @property
    def over(self) -> bool:
        return self.status is not None or self.cancelled or bool(self.failure)

    @property
    def succeeded(self) -> bool:
        return self.status == 0

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._task = asyncio.create_task(self._work())

    def cancel(self) -> None:
        """End the command and all that it started."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            self.status = await process.run(self._argv, self._root, self._add)
        except asyncio.CancelledError:
            self.cancelled = True
        except OSError as error:
            self.failure = f"{error.strerror}: {error.filename}"
        except ValueError as error:
            self.failure = f"an argument that no program can be given: {error}"
        self.changed(None)

    def _add(self, line: str) -> None:
        self.lines.append(line)
        self.changed(line)

    def outcome(self) -> str:
        """One line on how it stands."""
        if self.cancelled:
            return "■ cancelled"
        if self.failure:
            return f"✗ could not start: {self.failure}"
        if self.status is None:
            return f"◐ running for {span(time.monotonic() - self._began)}"
        return "✓ done" if self.succeeded else f"✗ failed with exit status {self.status}"
