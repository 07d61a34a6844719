"""A child process in which the disk fails, or which is killed, at the n-th change that it makes to the disk."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

CHANGES = ("write", "pwrite", "rename", "replace", "fsync", "fdatasync", "ftruncate", "link", "unlink", "mkdir", "open")
FINISHED, REFUSED, BROKEN = 0, 3, 4


def run(work: Callable[[], object], step: int, fault: str) -> int:
    """Do `work` in a forked child, with a fault at its `step`-th change.

    Args:
        fault: `kill` (SIGKILL), `torn` (half of a write, then SIGKILL) or `full` (half of a write, then ENOSPC for
        ever).

    Returns:
        FINISHED when the work was done without meeting the fault, REFUSED when it raised a BoxError, -9 when it was
        killed, BROKEN for any other error.
    """
    child = os.fork()
    if not child:
        os._exit(_work(work, step, fault))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _work(work: Callable[[], object], step: int, fault: str) -> int:
    from boxplat.core.errors import BoxError

    signal.alarm(600)
    _inject(step, fault)
    try:
        work()
    except BoxError:
        return REFUSED
    except BaseException:
        import traceback

        traceback.print_exc()
        return BROKEN
    return FINISHED


def _inject(step: int, fault: str) -> None:
    count = 0

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def faulty(*args: Any, **named: Any) -> Any:
            nonlocal count
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **named)
            count += 1
            if count < step or (count > step and fault != "full"):
                return real(*args, **named)
            if name in ("write", "pwrite") and fault != "kill" and count == step:
                real(args[0], memoryview(args[1])[: len(args[1]) // 2], *args[2:])
            if fault != "full":
                os.kill(os.getpid(), signal.SIGKILL)
            if name in ("unlink", "ftruncate"):
                return real(*args, **named)
            raise OSError(errno.ENOSPC, "No space left on device")

        setattr(os, name, faulty)

    for name in CHANGES:
        wrap(name)
