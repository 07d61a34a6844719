"""A folder that does not outlive whoever works in it, also where that one is told to end."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A new folder, for the block to remove; meanwhile SIGTERM ends the block with SystemExit instead of the process.

    A second SIGTERM is ignored, so that what the first began is done. In other threads than the main one signals stay
    as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Path(tempfile.mkdtemp(prefix=prefix))
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield Path(tempfile.mkdtemp(prefix=prefix))
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
