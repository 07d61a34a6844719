"""What processes use now, read from /proc; a process that is gone, or may not be read, is left out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boxplat.core import processes

_PROC = Path("/proc")
_TICK = float(os.sysconf("SC_CLK_TCK"))
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have used since they began, with their ended children: CPU seconds, and bytes as in `Profile`."""

    cpu_seconds: float = 0.0
    read_bytes: int = 0
    write_bytes: int = 0
    disk_read: int = 0
    disk_write: int = 0

    def most(self, other: Usage) -> Usage:
        """Of each the larger: none of them ever goes down, but a process that ends unseen takes its share along."""
        return Usage(
            max(self.cpu_seconds, other.cpu_seconds),
            max(self.read_bytes, other.read_bytes),
            max(self.write_bytes, other.write_bytes),
            max(self.disk_read, other.disk_read),
            max(self.disk_write, other.disk_write),
        )


def total(parts: Iterable[Usage]) -> Usage:
    rows = list(parts)
    return Usage(
        sum(row.cpu_seconds for row in rows),
        sum(row.read_bytes for row in rows),
        sum(row.write_bytes for row in rows),
        sum(row.disk_read for row in rows),
        sum(row.disk_write for row in rows),
    )


def usage(pid: int, ticks: float) -> Usage | None:
    """What a process has used; None when it is gone. `ticks` tells it from a later one with the same pid."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    if float(fields[19]) != ticks:
        return None
    moved = _table(pid, "io", 1)
    return Usage(
        sum(int(field) for field in fields[11:15]) / _TICK,
        moved.get("rchar", 0),
        moved.get("wchar", 0),
        moved.get("read_bytes", 0),
        max(0, moved.get("write_bytes", 0) - moved.get("cancelled_write_bytes", 0)),
    )


def peak(pid: int) -> int:
    """The most bytes that a process ever had resident; 0 when it is gone."""
    return _table(pid, "status", _KIB).get("VmHWM", 0)


def together(pids: Iterable[int]) -> int:
    """Resident bytes of processes that may share pages.

    A page that n processes map counts as 1/n in each (PSS). Programs and libraries are mapped by strangers too, who
    would take their share away: they count as in the process that has most of them.
    """
    maps = [_table(pid, "smaps_rollup", _KIB) for pid in pids]
    files = max((row.get("Rss", 0) - row.get("Anonymous", 0) - row.get("Pss_Shmem", 0) for row in maps), default=0)
    own = sum(row.get("Pss_Anon", 0) + row.get("Pss_Shmem", 0) for row in maps)
    return own + max(files, sum(row.get("Pss_File", 0) for row in maps))


def members(root: int, apart: frozenset[int]) -> list[int]:
    """A process and everything below it, without the processes `apart` and what is below those."""
    found = [root]
    for pid in found:
        found += [child for child in _children(pid) if child not in apart]
    return found


def _children(pid: int) -> list[int]:
    """A child belongs to the thread that started it."""
    found: list[int] = []
    try:
        for thread in os.listdir(_PROC / str(pid) / "task"):
            found += map(int, (_PROC / str(pid) / "task" / thread / "children").read_text().split())
    except OSError:
        return found
    return found


def start(pid: int) -> float | None:
    """When a process began, in clock ticks since boot."""
    return processes.start_ticks(pid)


def busy_seconds() -> float:
    """CPU seconds that all processes of this machine have used since boot."""
    user, nice, system, _idle, _wait, irq, soft, *_ = map(int, (_PROC / "stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + soft) / _TICK


def _table(pid: int, name: str, unit: int) -> dict[str, int]:
    """The numbers of a file of `Name: number …` lines."""
    try:
        text = (_PROC / str(pid) / name).read_text(errors="replace")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        label, colon, rest = line.partition(":")
        first = rest.split(maxsplit=1)[:1]
        if colon and first and first[0].isdigit():
            found[label] = int(first[0]) * unit
    return found
