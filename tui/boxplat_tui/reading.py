"""What is too heavy for the dashboard to read itself: `box … --json` as a child process, kept with its age.

The child runs off the event loop at low priority, one at a time. It runs again when it is due, when an event of the
named kinds came, and when a person asks; never so often that it takes more than a small share of a core.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from boxplat.core.errors import BoxError
from boxplat.core.model import Snapshot
from boxplat_tui.commands import Command
from boxplat_tui.format import age

REST = 40.0
STEP = 5.0
LONGEST_SECONDS = 120.0
Output = Callable[[Command], Awaitable[tuple[int, bytes, bytes]]]


class Reading:
    """The JSON object that `box WORDS --json` printed last.

    Args:
        words: what follows `box`, without `--json`.
        every: seconds between two readings while its screen is in front; at least 40 times what one took.
        kinds: beginnings of kinds of events (`run.`, `features.`) after which it is read again at once.
    """

    def __init__(self, words: Sequence[str], every: float = 15.0, kinds: Sequence[str] = ()) -> None:
        self.words = tuple(words)
        self.data: Mapping[str, Any] = {}
        self.error: BoxError | None = None
        self.at: float | None = None
        self.running = False
        self._every = every
        self._kinds = tuple(kinds)
        self._took = 0.0
        self._tried: float | None = None
        self._heard: int | None = None
        self._wanted = True

    @property
    def command(self) -> Command:
        """The same for a shell."""
        return Command(self.words)

    @property
    def known(self) -> bool:
        """Whether there is an object to show, however old."""
        return self.at is not None

    def old(self) -> None:
        """Read again as soon as possible."""
        self._wanted = True

    def looked_at(self, now: float) -> None:
        """Somebody comes to its screen: what is older than `every` is read at once, however long that takes."""
        if self._tried is not None and now - self._tried >= self._every:
            self._wanted = True

    def hear(self, snapshot: Snapshot) -> None:
        """Follow the events: one of the named kinds makes what is known old."""
        newest = max((event.id for event in snapshot.events if event.kind.startswith(self._kinds)), default=0)
        if self._heard is not None and newest > self._heard:
            self._wanted = True
        self._heard = newest

    def due(self, now: float) -> bool:
        """Whether to read now (`now` in seconds of the monotonic clock)."""
        if self.running:
            return False
        if self._wanted or self._tried is None:
            return True
        return now - self._tried >= max(self._every, REST * self._took)

    def said(self, now: float) -> str:
        """How old what is shown is: `as of 10s ago`; `reading …` before the first."""
        if self.at is None:
            return "" if self.error else "reading …"
        passed = now - self.at
        # In steps, so that the line changes rarely.
        return f"as of {age(self.at, self.at + (passed - passed % STEP if passed < 60 else passed))}"

    async def read(self, output: Output, clock: Callable[[], float]) -> None:
        """Run the command and keep what it printed, or why it failed; what was known before stays.

        Args:
            output: runs a command; exit status, standard output and standard error.
            clock: seconds since the epoch.
        """
        self.running, self._wanted = True, False
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                self._keep(*await output(Command((*self.words, "--json"))))
            if self.error is None:
                self.at = clock()
        except TimeoutError:
            self.error = self._failed(f"it had not ended after {LONGEST_SECONDS:.0f} s")
        except OSError as error:
            self.error = self._failed(str(error))
        finally:
            self.running = False
            self._tried = time.monotonic()
            self._took = self._tried - began

    def _keep(self, status: int, printed: bytes, told: bytes) -> None:
        try:
            found = json.loads(printed)
        except ValueError:
            found = None
        if isinstance(found, dict) and "error" in found and "fix" in found:
            self.error = _error(found)
        elif isinstance(found, dict) and "schema_version" in found:
            self.data, self.error = found, None
        else:
            last = told.decode("utf-8", "replace").strip() or f"it ended with exit status {status} and no JSON"
            self.error = self._failed(last)

    def _failed(self, why: str) -> BoxError:
        return BoxError(f"`{self.command.text}` could not be read", why=why, fix=f"{self.command.text} --json")


def _error(found: Mapping[str, Any]) -> BoxError:
    log = found.get("log")
    return BoxError(str(found["error"]), why=str(found.get("why", "")), fix=str(found["fix"]), log=log and str(log))
