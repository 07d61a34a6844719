"""What this process may use: of the machine, or of the control groups (version 1 or 2) that it is in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 2**60


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: the most that can be used, and what can be had now without swapping."""

    limit: int
    available: int


class Limits:
    """The limits of a process; where its groups are is looked up once.

    Args:
        proc: the folder of /proc.
        groups: where control groups are mounted.
    """

    def __init__(self, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._unified: list[Path] = []
        self._memory: list[Path] = []
        self._cpu: list[Path] = []
        for line in _read(proc / "self" / "cgroup").splitlines():
            _, names, path = line.split(":", 2)
            if not names:
                root = groups if (groups / "cgroup.controllers").exists() else groups / "unified"
                self._unified = list(_levels(root, path))
            elif "memory" in names.split(","):
                self._memory = list(_levels(groups / "memory", path))
            elif "cpu" in names.split(","):
                root = groups / names if (groups / names).exists() else groups / "cpu"
                self._cpu = list(_levels(root, path))

    def cores(self) -> float:
        """Cores that may be claimed: those that the process may run on, or its quota. At least one: under a smaller
        quota things take longer, but they run.
        """
        cores = float(len(os.sched_getaffinity(0)))
        for folder in self._unified:
            quota, _, period = _read(folder / "cpu.max").partition(" ")
            cores = min(cores, _cores(quota, period))
        for folder in self._cpu:
            cores = min(cores, _cores(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")))
        return max(1.0, round(cores, 3))

    def cpu_seconds(self) -> float:
        """CPU time that was used so far of these cores, by whomever; of the control group, where a quota holds it."""
        for folder in self._unified:
            told = dict(line.split() for line in _read(folder / "cpu.stat").splitlines())
            if _read(folder / "cpu.max").partition(" ")[0].isdigit() and "usage_usec" in told:
                return int(told["usage_usec"]) / 1e6
        for folder in self._cpu:
            used = _read(folder / "cpuacct.usage")
            if used.isdigit() and _read(folder / "cpu.cfs_quota_us").isdigit():
                return int(used) / 1e9
        return _worked(_read(self._proc / "stat"), os.sched_getaffinity(0))

    def memory(self) -> Memory:
        """Of the machine, or of the group that allows less."""
        known = dict(line.split(":", 1) for line in _read(self._proc / "meminfo").splitlines() if ":" in line)
        total, free = _kib(known.get("MemTotal", "")), _kib(known.get("MemAvailable", known.get("MemFree", "")))
        for folder in self._unified:
            total, free = _within(folder, ("memory.max", "memory.current", "inactive_file"), total, free)
        for folder in self._memory:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            total, free = _within(folder, names, total, free)
        return Memory(total, max(0, free))


def _levels(root: Path, path: str) -> Iterator[Path]:
    """The folder of a group and those of the groups that it is in. In a container the path may be the host's."""
    folder = root / path.strip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = root
    while folder.is_dir():
        yield folder
        if folder == root:
            return
        folder = folder.parent


def _within(folder: Path, names: tuple[str, str, str], total: int, free: int) -> tuple[int, int]:
    limit, used = _read(folder / names[0]), _read(folder / names[1])
    if not limit.isdigit() or not used.isdigit() or int(limit) >= min(_NO_LIMIT, total):
        return total, free
    # Pages of files are given up when they are needed.
    stat = _read(folder / "memory.stat").splitlines()
    cache = sum(int(line.split()[1]) for line in stat if line.startswith(f"{names[2]} "))
    return int(limit), min(free, int(limit) - int(used) + cache)


def _cores(quota: str, period: str) -> float:
    if not quota.isdigit() or not period.strip().isdigit() or not int(period):
        return float("inf")
    return int(quota) / int(period)


def _worked(stat: str, cores: Set[int]) -> float:
    """Seconds in which one of these cores did something for somebody here."""
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores and len(fields) >= 7:
            user, nice, system, _, _, hard, soft = map(int, fields[:7])
            ticks += user + nice + system + hard + soft
    return ticks / os.sysconf("SC_CLK_TCK")


def _kib(text: str) -> int:
    word = text.split()[0] if text.split() else "0"
    return int(word) * 1024


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
