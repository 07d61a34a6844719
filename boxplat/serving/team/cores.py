"""How many cores a server may use."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
# Set where the server is one of many on its machine and has no quota: in a pod.
CORES = "BOXPLAT_CORES"


def usable_cores(quota: Path = _QUOTA) -> int:
    """The cores that this process may run on, fewer where its control group has a quota of their time; at least 1.

    The variable `BOXPLAT_CORES` says otherwise.
    """
    if os.environ.get(CORES, "").isdecimal():
        return max(1, int(os.environ[CORES]))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, int(most) // int(period)))
    except (OSError, ValueError):
        # No such control group, or the quota is "max".
        return cores
