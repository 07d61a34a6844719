"""Processes of the box that nobody looks after any more."""

from __future__ import annotations

import os
import signal
import time

from boxplat.core import processes
from boxplat.core.paths import Paths

_SECONDS = 5.0


def sweep(paths: Paths, kept: set[int]) -> list[int]:
    """End every process of the box but the kept ones, what they started, this process and those above it.

    Returns the pids that were ended.
    """
    found = processes.marked(paths.state)
    # Read after them: what a kept process starts meanwhile is not among them, and what it had started is below it here
    # or has ended.
    tree = processes.children()
    there = {pid for below in tree.values() for pid in below}
    spared = {pid for keep in kept for pid in processes.descendants(keep, tree)}
    above: int | None = os.getpid()
    while above:
        spared.add(above)
        above = processes.parent(above)
    targets = [pid for pid in found if pid in there and pid not in spared]
    ticks = {pid: processes.start_ticks(pid) for pid in targets}
    for how in (signal.SIGTERM, signal.SIGKILL):
        processes.signal_all([pid for pid in targets if processes.alive(pid, ticks[pid])], how)
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline and any(processes.alive(pid, ticks[pid]) for pid in targets):
            time.sleep(0.05)
    return targets
