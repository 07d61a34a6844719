"""Checks of the machine: operating system, cores, memory, disk, clock, open files."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, skip, warn

GIB = 1024**3
# A clock before this date was never set: it is older than boxplat itself.
OLDEST = time.mktime((2025, 1, 1, 0, 0, 0, 0, 0, 0))


def system(_: Site) -> Finding:
    text = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform.startswith("linux"):
        return ok(text)
    if sys.platform == "darwin":
        return warn(f"{text}: not tested here", "use Linux for work that others rely on")
    return fail(f"{text}: process groups and passed sockets need a POSIX system", "use Linux, or WSL 2 on Windows")


def cores(_: Site) -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < 2:
        return warn("1 core: the services and a training run share it", "give the machine 2 cores or more")
    return ok(f"{count} cores")


def memory(_: Site) -> Finding:
    total, free = psutil.virtual_memory().total, psutil.virtual_memory().available
    limit = memory_limit(Path("/sys/fs/cgroup/memory.max"))
    where = "machine"
    if limit is not None and limit < total:
        total, free, where = limit, min(free, limit), "container"
    return judge_memory(total, free, where)


def judge_memory(total: int, free: int, where: str) -> Finding:
    """The services alone need 0.7 GiB, a training run of the sample 1 GiB more (sizes in bytes)."""
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free in this {where}"
    if total < 1.5 * GIB:
        return fail(f"{text}: too little for the services", f"give the {where} 4 GiB or more")
    if free < 1.5 * GIB:
        return warn(f"{text}: a run may be killed", "ps aux --sort=-rss | head   (and end what is not needed)")
    return ok(text)


def memory_limit(file: Path) -> int | None:
    """The memory limit of the control group in bytes, None without one."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def disk(site: Site) -> Finding:
    return judge_disk(shutil.disk_usage(site.folder).free, site.folder)


def judge_disk(free: int, folder: Path) -> Finding:
    """Judge the free bytes of the file system under `folder`."""
    text = f"{free / GIB:.1f} GiB free under {folder}"
    fix = f"box gc --dry-run   (what may go; what takes the space: du -sh {folder}/.box/* | sort -h)"
    if free < GIB / 2:
        return fail(f"{text}: runs and databases will break", fix)
    if free < 5 * GIB:
        return warn(text, fix)
    return ok(text)


def clock(site: Site) -> Finding:
    fix = "sudo timedatectl set-ntp true"
    now = time.time()
    if now < OLDEST:
        return fail(f"the clock says {time.strftime('%Y-%m-%d', time.localtime(now))}: it was never set", fix)
    if site.paths is not None and site.paths.database.exists():
        ahead = site.paths.database.stat().st_mtime - now
        if ahead > 60:
            return fail(f"the state was written {ahead:.0f} s in the future: the clock went back", fix)
    off = drift_of_files(site.folder)
    if abs(off) > 2:
        return warn(f"the file system's clock is {off:+.0f} s off: newer files can look older", fix)
    return ok(f"{time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(now))}, files agree")


def drift_of_files(folder: Path) -> float:
    """Seconds by which the file system's clock (a server's, for a network one) is ahead of this machine's."""
    where = folder if os.access(folder, os.W_OK) else None
    with tempfile.NamedTemporaryFile(dir=where, prefix=".box-clock-") as file:
        return os.fstat(file.fileno()).st_mtime - time.time()


def open_files(_: Site) -> Finding:
    if sys.platform == "win32":
        return skip("no such limit here")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 1024:
        return warn(f"at most {soft} open files for a process", f"ulimit -n {1024 if hard < 0 else min(hard, 1024)}")
    return ok(f"{'no limit' if soft < 0 else soft} open files for a process")


PROBES = (
    Probe("BOX-SYS-01", "operating system", system),
    Probe("BOX-SYS-02", "cores", cores),
    Probe("BOX-SYS-03", "memory", memory),
    Probe("BOX-SYS-04", "disk space", disk),
    Probe("BOX-SYS-05", "clock", clock),
    Probe("BOX-SYS-06", "open files", open_files),
)
