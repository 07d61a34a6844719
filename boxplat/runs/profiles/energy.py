"""Joules per second of CPU use: measured where the machine tells (RAPL), else what the settings say.

RAPL: https://docs.kernel.org/power/powercap/powercap.html. A package's energy, the idle share included, is divided by
the CPU seconds that all processes of the machine used meanwhile. Most kernels let only root read the counters.
"""

from __future__ import annotations

import re
from pathlib import Path

from boxplat.runs.profiles import measure

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")
# Over less CPU time than this the idle machine's energy would be the task's.
_ENOUGH = 0.5


class CpuEnergy:
    """The mean joules of a CPU second since this was made.

    Args:
        watts: of one busy core, where nothing is measured.

    Attributes:
        spent: joules of the whole machine that were measured so far.
    """

    def __init__(self, watts: float, folder: Path = POWERCAP) -> None:
        self._watts = watts
        packages = sorted(folder.glob("intel-rapl:*")) if folder.is_dir() else []
        self._last = {path: joules for path in packages if _PACKAGE.fullmatch(path.name) and (joules := _joules(path))}
        self.spent = 0.0
        self._began = measure.busy_seconds() if self._last else 0.0

    @property
    def measured(self) -> bool:
        return bool(self._last)

    def look(self) -> None:
        """Note what was spent since the last look; the counters wrap around within minutes."""
        for path, before in self._last.items():
            now = _joules(path)
            if now is not None:
                self.spent += now - before if now >= before else now - before + _range(path)
                self._last[path] = now

    def per_cpu_second(self) -> float:
        busy = measure.busy_seconds() - self._began if self._last else 0.0
        return self.spent / busy if busy > _ENOUGH and self.spent > 0 else self._watts


def _joules(path: Path) -> float | None:
    try:
        return int((path / "energy_uj").read_text()) / 1e6
    except (OSError, ValueError):
        return None


def _range(path: Path) -> float:
    try:
        return int((path / "max_energy_range_uj").read_text()) / 1e6
    except (OSError, ValueError):
        return 0.0
