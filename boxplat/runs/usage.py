"""What the processes of each lease really have, of memory and of the devices'."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from boxplat.adapters.gpu_units import Unit
from boxplat.core import processes
from boxplat.core.claims import Device, Lease
from boxplat.runs.space import share

_PROC = Path("/proc")
# Where more is resident, the kernel takes too long to count shared pages.
_LARGE = 4 * 2**30
# A driver keeps some memory of its own.
_DRIVERS_OWN = 0.05


def trees(leases: Iterable[Lease]) -> dict[int, list[int]]:
    """The processes of each lease by its id: the holder's and what it started, up to other holders."""
    children = processes.children()
    holders = {lease.pid for lease in leases}
    return {lease.id: _below(lease.pid, children, holders - {lease.pid}) for lease in leases}


def memory(pids: Iterable[int]) -> int:
    """Bytes that a group of processes has and nobody could take away: what they share counts once, in shares."""
    return sum(map(_held, pids))


def devices(units: Sequence[Unit], leases: Sequence[Lease], ours: Mapping[int, Sequence[int]]) -> tuple[Device, ...]:
    """What can be claimed of each unit, and what others have of it.

    Args:
        ours: the processes of each lease, by its id.
    """
    return tuple(_device(unit, [lease for lease in leases if unit.uuid in lease.devices], ours) for unit in units)


def device_memory(units: Sequence[Unit], pids: Iterable[int]) -> int:
    """Bytes that processes have on all devices, where the driver tells."""
    known = list(pids)
    return sum(unit.processes.get(pid) or 0 for unit in units for pid in known)


def _below(pid: int, children: Mapping[int, Sequence[int]], others: set[int]) -> list[int]:
    found = [pid]
    for child in children.get(pid, ()):
        if child not in others:
            found += _below(child, children, others)
    return found


def _device(unit: Unit, leases: Sequence[Lease], ours: Mapping[int, Sequence[int]]) -> Device:
    bare = Device(unit.uuid, unit.name, unit.memory, 0, unit.slice, unit.index)
    mine = {pid for lease in leases for pid in ours.get(lease.id, ())}
    everybody = {pid for pids in ours.values() for pid in pids} | {os.getpid()}
    held = {lease.id: device_memory([unit], ours.get(lease.id, ())) for lease in leases}
    # A process of ours that is on a device without a lease there is a stranger to it as well.
    strangers = sum(size or 0 for pid, size in unit.processes.items() if pid not in mine and _seen(pid))
    rest = max(0, unit.used - sum(held.values()) - strangers)
    if leases and _hidden(unit, everybody):
        # Whose it is, nobody can tell: what was claimed and is not seen to be used is taken to be there.
        rest = max(0, rest - sum(max(0, share(lease.claim, bare) - held[lease.id]) for lease in leases))
    return replace(bare, foreign=strangers + rest)


def _hidden(unit: Unit, ours: set[int]) -> bool:
    """Whether there are processes that the driver does not name, or names by numbers of another namespace."""
    if any(size is None or (pid not in ours and not _seen(pid)) for pid, size in unit.processes.items()):
        return True
    return not unit.processes and unit.used > _DRIVERS_OWN * unit.memory


def _seen(pid: int) -> bool:
    return (_PROC / str(pid)).exists()


def _held(pid: int) -> int:
    try:
        size, resident, shared = map(int, (_PROC / str(pid) / "statm").read_text().split()[:3])
        page = os.sysconf("SC_PAGE_SIZE")
        if resident * page > _LARGE or not size:
            return (resident - shared) * page
        rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
    except (OSError, ValueError):
        return 0
    fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
    if "Pss_Anon" not in fields:
        return (resident - shared) * page
    return sum(int(fields[key].split()[0]) for key in ("Pss_Anon", "Pss_Shmem")) * 1024
