"""A real terminal: tmux shows a program, takes keys and says what is on the screen."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def found() -> bool:
    """Whether there is a tmux on this machine."""
    return shutil.which("tmux") is not None


class Terminal:
    """A session of a tmux server of its own."""

    def __init__(self, name: str) -> None:
        self._tmux = ["tmux", "-L", name, "-f", os.devnull]

    def open(self, argv: Sequence[str], folder: Path, size: tuple[int, int]) -> None:
        width, height = (str(cells) for cells in size)
        session = [
            "new-session",
            "-d",
            "-x",
            width,
            "-y",
            height,
            "-c",
            str(folder),
            shlex.join(["env", "-u", "COLUMNS", "-u", "LINES", *argv]),
        ]
        # What ended stays to be read.
        subprocess.run([*self._tmux, *session, ";", "set", "remain-on-exit", "on"], check=True)

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def screen(self) -> str:
        done = subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True)
        return done.stdout

    def press(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def type(self, text: str) -> None:
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)

    def fill(self, text: str, word: str) -> None:
        """Put `text` into the field with the focus until `word` is there: a form just drawn may be deaf yet."""
        for _ in range(5):
            self.press("C-a", "C-k")
            self.type(text)
            with suppress(AssertionError):
                self.until(word, seconds=10)
                return
        self.until(word)

    def ended(self) -> bool:
        done = subprocess.run(
            [*self._tmux, "display", "-p", "#{pane_dead}"], capture_output=True, text=True, check=True
        )
        return done.stdout.strip() == "1"

    def leave(self, seconds: float = 60.0) -> str:
        """Press q and wait until the program has ended; returns what it said last."""
        self.press("q")
        end = time.monotonic() + seconds
        while not self.ended():
            assert time.monotonic() < end, self.screen()
            time.sleep(0.1)
        return self.screen()

    def until(self, *words: str, without: str = "", seconds: float = 180.0) -> str:
        """Wait until all of `words` are on the screen, and `without` is not; returns the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seen = self.screen()
            if all(word in seen for word in words) and not (without and without in seen):
                return seen
            if self.ended():
                break
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds:.0f} s: {words} without {without!r}\n{self.screen()}")


@contextmanager
def box_tui(folder: Path, *words: str, size: tuple[int, int] = (110, 34)) -> Iterator[Terminal]:
    """`box tui` in a terminal of its own."""
    terminal = Terminal(f"boxplat-{os.getpid()}-{time.monotonic_ns()}")
    terminal.open([sys.executable, "-m", "boxplat", "tui", *words], folder, size)
    try:
        yield terminal
    finally:
        terminal.close()
