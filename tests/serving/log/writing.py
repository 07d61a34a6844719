"""A worker that logs as fast as it can: `python -m tests.serving.log.writing FOLDER [MAX_FILE_BYTES]`.

It prints the numbers that it has noted, now and then, and ends like an endpoint on SIGTERM.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from pathlib import Path

from boxplat.serving.log import journal as journals
from boxplat.serving.log.columns import FIELDS
from boxplat.serving.log.journal import Journal
from boxplat.serving.log.limits import Limits

_NOTES = 50
# More do not wait to be written: a machine that is busy elsewhere would have the log drop some.
_MOST_WAITING = 20_000


def say(text: str) -> None:
    """A whole line at once: two threads speak."""
    os.write(1, f"{text}\n".encode())


def main(folder: str, largest: int = 0) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    journals.STOP_SECONDS = 60.0
    log = Journal(Path(folder), {"endpoint": "e"}, Limits(), lambda kind, data: say(kind))
    log.start()
    number = 0
    while not ended.wait(0.001):
        if len(log._notes) < _MOST_WAITING * FIELDS:
            for _ in range(_NOTES):
                log.note(number, 1, 1, "predict", 200, 1, b"{}" * 50, b"[1]")
                number += 1
        say(str(number))
        if largest and log._writer.pause and number % 10 == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            largest = 0
    log.stop()
    say(f"end {number}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
