"""Ending every process of a run, wherever it put itself."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from boxplat.core import processes

KILL_AFTER = 5.0
GIVE_UP_AFTER = 2.0
_STEP = 0.05


def end_all(flow: subprocess.Popen[bytes], spool: Path) -> None:
    """SIGTERM to the flow and everything it started, and SIGKILL to what is left 5 s later.

    A run's processes are told by the spool in their environment, wherever they put themselves: the flow shares the
    launcher's process group, so that the supervisor can end both at once, and tasks may open sessions of their own.
    """
    for number, patience in ((signal.SIGTERM, KILL_AFTER), (signal.SIGKILL, GIVE_UP_AFTER)):
        told: set[int] = set()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            # Again and again, because a task may have been on its way into life at the first look.
            left = set(processes.marked(spool, "BOXPLAT_SPOOL")) | ({flow.pid} if flow.poll() is None else set())
            if not left:
                return
            processes.signal_all(left - told, number)
            told |= left
            time.sleep(_STEP)
