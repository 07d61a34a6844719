"""Why a process must not be forked into tasks: each check names the first reason it finds."""

import gc
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"})
# As it is when Metaflow is imported, which is when this module is.
_RANDOM = random.getstate()
# Of a task that is ending, among its flags in /proc (PF_EXITING).
_EXITING = 0x4
_NAMES = {
    "metaflow.runtime": ("subprocess", "Worker"),
    "metaflow.plugins.cards.card_creator": ("subprocess", "CardCreator"),
    "metaflow.metaflow_git": ("get_repository_info",),
    "metaflow.metaflow_version": ("get_version",),
}


def first_doubt() -> str | None:
    """The first reason not to fork this process, None when there is none."""
    return next((why for check in _CHECKS for why in [check()] if why), None)


def names_missing(module: ModuleType) -> str | None:
    """What a module of another version of Metaflow lacks."""
    missing = [name for name in _NAMES.get(module.__name__, ()) if not hasattr(module, name)]
    return f"this version of Metaflow has no {module.__name__}.{missing[0]}" if missing else None


def native_threads() -> str | None:
    """Threads that live through a fork's preparation; libraries that can be forked (OpenBLAS) end theirs there."""
    count = sum(map(_lives, os.listdir("/proc/self/task")))
    return f"the flow's modules started {count - 1} threads" if count > 1 else None


def _lives(thread: str) -> bool:
    """Whether a thread is not on its way out: the kernel lists one for a moment after it was joined."""
    try:
        with open(f"/proc/self/task/{thread}/stat", encoding="ascii", errors="replace") as file:
            flags = int(file.read().rpartition(")")[2].split()[6])
    except OSError:
        return False
    return not flags & _EXITING


def open_descriptors() -> Iterator[tuple[int, str]]:
    """Every open descriptor but the standard streams, and what it leads to."""
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if int(name) > 2:
            yield int(name), target


def _inheritable() -> frozenset[tuple[int, str]]:
    return frozenset(row for row in open_descriptors() if os.get_inheritable(row[0]))


# What whoever started this process left open, by accident or as a lock; a task never gets those.
INHERITED = _inheritable() if os.path.isdir("/proc/self/fd") else frozenset()


def _system() -> str | None:
    if sys.platform != "linux" or not hasattr(os, "pidfd_open") or not hasattr(os, "memfd_create"):
        return "only Linux can do it"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return f"this kernel has no pidfd: {error}"
    return None


def _interpreter() -> str | None:
    if sys.orig_argv[1:] != sys.argv:
        return "Python was given options of its own"
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "a debugger or profiler is at work"
    if (sys.stdin, sys.stdout, sys.stderr) != (sys.__stdin__, sys.__stdout__, sys.__stderr__) or sys.stdin is None:
        return "the standard streams were replaced"
    return None


def _threads() -> str | None:
    if threading.active_count() != 1 or threading.current_thread() is not threading.main_thread():
        return "the flow's modules started threads"
    return None


def _children() -> str | None:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return "the flow's modules started processes"


def _timers() -> str | None:
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    return "a timer is set" if any(signal.getitimer(timer)[0] for timer in timers) else None


def _descriptors() -> str | None:
    for descriptor, target in open_descriptors():
        if target not in _HARMLESS_DEVICES and (descriptor, target) not in INHERITED:
            return f"the flow's modules hold {target} open"
    return None


def _mappings() -> str | None:
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            words = line.split(maxsplit=5)
            if words[1].startswith("rw") and words[1].endswith("s"):
                return f"the flow's modules share memory: {words[5].strip() if len(words) > 5 else 'anonymous'}"
    return None


def _random_numbers() -> str | None:
    # Seeded, each task would have to begin with the same numbers; only drawn from, each with others.
    return "random numbers were seeded or drawn" if random.getstate() != _RANDOM else None


def _accelerators() -> str | None:
    torch: Any = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return "CUDA is initialised" if cuda is not None and cuda.is_initialized() else None


def _collector() -> str | None:
    return "the garbage collector is off" if not gc.isenabled() else None


_CHECKS = (
    _system,
    _interpreter,
    _threads,
    _children,
    _timers,
    _descriptors,
    _mappings,
    _random_numbers,
    _accelerators,
    _collector,
)
