"""Whether there is a terminal to draw on, and what it can draw."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1


def usable() -> bool:
    """A person sits there. Textual draws on standard error, so that all three streams have to be the terminal."""
    # A browser's dashboard talks to the server that started it (see web.py).
    if "TEXTUAL_DRIVER" in os.environ:
        return True
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return os.environ.get("TERM") != "dumb" and all(stream.isatty() for stream in streams)


def ascii_only() -> bool:
    """It shows no characters beyond ASCII."""
    return "utf" not in (sys.stdout.encoding or "").lower()


def end_with_server() -> None:
    """In a browser's dashboard: end when the server of its page does, also where that was killed (Linux)."""
    if "TEXTUAL_DRIVER" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # It may have died before: then nobody holds the other end of this any more.
        ended = select.poll()
        ended.register(sys.stdin.fileno(), 0)
        if ended.poll(0):
            raise SystemExit(1)
