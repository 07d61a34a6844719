"""Scale to zero: when a process that nobody asks may stop, and whether somebody waits for it to start again.

The listening socket stays open meanwhile. A connection is made by the kernel and waits in the socket's queue, unseen by
any process, with the request that its client sends.
"""

from __future__ import annotations

import select
import time
from pathlib import Path

from boxplat.core.graph import resolve
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.serving.presence import file_of


def idle(service: Service, paths: Paths, began: float) -> bool:
    """Whether a process was asked nothing for as long as its service says. Without a sign of either it was.

    Args:
        began: when it was started or found, `time.monotonic`.
    """
    if not service.idle_seconds or time.monotonic() - began < service.idle_seconds:
        return False
    file = file_of(service.env)
    if file is None:
        return False
    try:
        asked = Path(resolve(str(file), {"box.state": str(paths.state)})).stat().st_mtime
    except OSError:
        return False
    return time.time() - asked >= service.idle_seconds


def waiting(descriptor: int) -> bool:
    """Whether a connection waits in the queue of a listening socket; it is left there."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
