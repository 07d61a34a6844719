"""Tells the supervisor when an endpoint was last asked: by the time of a file, which all its workers touch.

Looking at whether it is healthy, or at its metrics, is not asking it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxplat.serving.counting import Counters

# In the folder of the endpoint's counters.
ASKED = "asked"
_TURN = 1.0


def file_of(environ: Mapping[str, str]) -> Path | None:
    """The file of the endpoint whose processes have this environment; None: it has none."""
    folder = environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) / ASKED if folder else None


class Presence:
    """Touches the file about once a second while requests are answered.

    Args:
        file: None: nobody looks.
        always: it works between requests too, and always counts as asked.
    """

    def __init__(self, file: Path | None, always: bool) -> None:
        self._file = file
        self._always = always
        self._others = 0
        self._counters: Counters | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, counters: Counters) -> None:
        """Begin, on the running event loop."""
        if self._file is not None:
            self._counters = counters
            counters.active = True
            self._turn()

    def stop(self) -> None:
        """No more."""
        if self._timer is not None:
            self._timer.cancel()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request that the counters do not see."""
        self._others += 1
        try:
            yield
        finally:
            if self._counters is not None:
                self._counters.active = True
            self._others -= 1

    def _turn(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TURN, self._turn)
        assert self._counters is not None and self._file is not None
        self._counters.flush()
        if self._counters.active or self._others or self._always:
            self._counters.active = False
            # Where it cannot be touched there is no file, or an old one that the next turn touches.
            with suppress(OSError):
                self._file.touch(mode=0o600)
                os.utime(self._file)
