"""What a task has used so far, by the kernel's own accounts; some 0.2 ms. Standard library only."""

import os
import resource
import sys
from typing import Any

# Decorators are loaded when Metaflow is imported, so a task that was forked after that has another pid.
_BORN = os.getpid()
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024
_CLOSE = 16 * 2**20


def resident() -> int:
    """Resident bytes of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE


def forked() -> bool:
    """Whether this task is a fork of a process that had imported Metaflow, and so shares that one's memory."""
    return os.getpid() != _BORN


def used(at_start: int) -> dict[str, Any]:
    """What this task and the children that it waited for have used.

    The peak is the kernel's high-water mark of this process (VmHWM): `ru_maxrss` would count what the parent held
    before it called exec. In a forked task that mark begins with everything the parent had: `inherited` is how much of
    it.

    Args:
        at_start: resident bytes when the step began.
    """
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    moved = _table("/proc/self/io", 1)
    peak = _table("/proc/self/status", _KIB).get("VmHWM", 0)
    return {
        "peak": peak,
        "inherited": _inherited(peak, at_start, own.ru_minflt * _PAGE) if forked() else 0,
        "children_peak": children.ru_maxrss * _KIB,
        "cpu_seconds": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "read_bytes": moved.get("rchar", 0),
        "write_bytes": moved.get("wchar", 0),
        "disk_read": moved.get("read_bytes", 0),
        "disk_write": max(0, moved.get("write_bytes", 0) - moved.get("cancelled_write_bytes", 0)),
        "vram": _torch_peak(),
    }


def _inherited(peak: int, at_start: int, touched: int) -> int:
    """The part of a fork's peak that is still its parent's, in bytes.

    It holds what it grew by, and at most what it touched: a page is its own from the first write to it. Where these
    bounds differ much (memory that was freed and taken again is touched twice), what it shares now is looked up, which
    takes 15 us for each MiB that it holds.
    """
    least, most = max(0, peak - at_start), min(peak, touched)
    if most - least <= _CLOSE:
        return peak - max(least, most)
    maps = _table("/proc/self/smaps_rollup", _KIB)
    return min(at_start, maps.get("Shared_Clean", 0) + maps.get("Shared_Dirty", 0))


def _table(path: str, unit: int) -> dict[str, int]:
    """The numbers of a file of `Name: number …` lines; nothing where the kernel does not give them."""
    found = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, colon, rest = line.partition(":")
                first = rest.split(maxsplit=1)[:1]
                if colon and first and first[0].isdigit():
                    found[name] = int(first[0]) * unit
    except OSError:
        return {}
    return found


def _torch_peak() -> int:
    """The most bytes that torch had reserved on any one device; torch is asked only where the step has used CUDA."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return 0
    return max((int(cuda.max_memory_reserved(device)) for device in range(cuda.device_count())), default=0)
