"""How busy the machine is: the cores and the memory that this process may use, as a screen shows them each second."""

from __future__ import annotations

import time

from boxplat.core.model import Host
from boxplat.runs.limits import Limits

# The kernel counts CPU time in hundredths of a second: of less than this nothing can be told.
_SHORTEST = 0.2


class Meter:
    """Readings of the machine; what the cores did meanwhile is told from the second one on.

    Args:
        limits: what this process may use.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._before: tuple[float, float] | None = None
        self._busy: float | None = None

    def read(self, now: float | None = None) -> Host:
        """The machine now.

        Args:
            now: seconds of the monotonic clock.
        """
        at = time.monotonic() if now is None else now
        spent, cores, memory = self._limits.cpu_seconds(), self._limits.cores(), self._limits.memory()
        if self._before is None:
            self._before = (at, spent)
        elif at - self._before[0] >= _SHORTEST:
            passed, worked = at - self._before[0], spent - self._before[1]
            self._busy = min(max(worked / passed, 0.0), cores)
            self._before = (at, spent)
        return Host(cores, self._busy, memory.limit, max(0, memory.limit - memory.available))


_METER = Meter()


def read() -> Host:
    """The machine now, and what its cores did since the last call in this process."""
    return _METER.read()
