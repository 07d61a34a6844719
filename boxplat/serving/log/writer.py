"""The log's thread: frames into the spool, and what to do when they do not go in."""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from boxplat.serving.log import columns
from boxplat.serving.log.limits import Limits
from boxplat.serving.log.spool import SUFFIX, Spool

# What may happen to a log: a kind of event and its data.
Tell = Callable[[str, dict[str, Any]], None]

FULL_BYTES = 128 * 2**20
FULL_SECONDS = 3600.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
_TELL_SECONDS = 60.0


def say(kind: str, data: dict[str, Any]) -> None:
    """Tell it on standard error, which is the endpoint's log."""
    _aloud(f"{kind} {data}\n")


def _aloud(text: str) -> None:
    # It may be a file on the very disk that is full, which must not end the log's thread.
    with suppress(OSError, ValueError):
        # In one piece: other threads write there too.
        sys.stderr.write(text)
        sys.stderr.flush()


class Writer:
    """Writes records to spools, one after the other, and starts their compaction.

    Attributes:
        pause: seconds to wait before the next attempt; 0 while all is well.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str], limits: Limits, tell: Tell) -> None:
        self.pause = 0.0
        self.records = 0
        self._folder = folder
        self._facts = facts
        self._limits = limits
        self._tell = tell
        # Of a small log only whole files can be deleted, and never the one that is written to.
        self._full = min(FULL_BYTES, max(2**20, limits.mib * 2**20 // 8)) if limits.mib else FULL_BYTES
        self._spool: Spool | None = None
        self._compaction: subprocess.Popen[bytes] | None = None
        # What others left is tidied up at once; the rest when there is enough of it.
        left = any(folder.glob(f"*{SUFFIX}"))
        self._compact_at = time.monotonic() + (0.0 if left else FULL_SECONDS)
        self._told_dropped = 0
        self._tell_at = 0.0

    def write(self, notes: list[Any]) -> bool:
        """Add records, or none of them where that fails."""
        try:
            if self._spool is None:
                self._spool = Spool(self._folder, self._facts)
            self._spool.append(columns.frame(notes, self._limits.body))
        except OSError as error:
            self._failed(error)
            return False
        except Exception as error:
            # Records that cannot be written must not stop those that can.
            _aloud(traceback.format_exc())
            self._tell("log.lost", {"records": len(notes) // columns.FIELDS, "why": repr(error)})
            return True
        self.records += len(notes) // columns.FIELDS
        if self.pause:
            self.pause = 0.0
            self._tell("log.resumed", {"folder": str(self._folder)})
        if self._spool.size >= self._full:
            self._rotate()
        return True

    def tend(self, dropped: int) -> None:
        """What is to be done now and then: end an old spool, compact, and say what was dropped.

        Args:
            dropped: records that there was no room for, in all.
        """
        now = time.monotonic()
        if self._spool is not None and now - self._spool.began >= FULL_SECONDS:
            self._rotate()
        if now >= self._compact_at and not self.pause:
            self._compact()
        if dropped > self._told_dropped and now >= self._tell_at:
            self._tell("log.dropped", {"records": dropped - self._told_dropped, "in_all": dropped})
            self._told_dropped, self._tell_at = dropped, now + _TELL_SECONDS

    def end(self, lost: int, dropped: int) -> None:
        """Leave the spool to others, and say what is lost with this process."""
        self._tell_at = 0.0
        self._compact_at = float("inf")
        self.tend(dropped)
        if lost:
            self._tell("log.lost", {"records": lost})
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _failed(self, error: OSError) -> None:
        if not self.pause:
            self._tell("log.stopped", {"folder": str(self._folder), "why": error.strerror or str(error)})
        self.pause = min(max(FIRST_PAUSE, 2 * self.pause), LONGEST_PAUSE)
        if isinstance(error, FileNotFoundError) and self._spool is not None:
            # Somebody deleted it: begin another.
            self._spool.close()
            self._spool = None

    def _rotate(self) -> None:
        assert self._spool is not None
        self._spool.close()
        self._spool = None
        self._compact_at = time.monotonic()

    def _compact(self) -> None:
        """Start the compaction, unless the last one still runs."""
        if self._compaction is not None and self._compaction.poll() is None:
            return
        self._compact_at = time.monotonic() + FULL_SECONDS
        kept = ["--days", str(self._limits.days), "--mib", str(self._limits.mib)]
        command = [sys.executable, "-P", "-m", "boxplat.serving.log.compact", str(self._folder), *kept]
        try:
            if self._folder.is_dir():
                self._compaction = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        except OSError as error:
            say("log.compaction", {"why": error.strerror})
