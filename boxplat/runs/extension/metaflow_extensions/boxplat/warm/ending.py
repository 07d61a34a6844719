"""The end of a task or scheduler without what takes longest of an interpreter's end: undoing every module."""

import atexit
import dis
import gc
import io
import os
import sys
import threading
from types import FrameType
from typing import Any

# Their finalisers do nothing that the end of the process does not do.
_HARMLESS = ("generator", "coroutine", "async_generator", "async_generator_asend", "Popen")


class Ending:
    """How a flow's scheduler and its tasks end.

    Args:
        frame: the frame that made the flow; whatever encloses it there is run at the end too.
    """

    def __init__(self, frame: FrameType | None) -> None:
        self._in_full = _guarded(frame)

    def leave(self, code: object) -> None:
        """End the process as `SystemExit(code)` would; returns where only the interpreter itself can do that."""
        if self._in_full or not (code is None or isinstance(code, int)):
            gc.unfreeze()
            return
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        if _unfinished():
            gc.unfreeze()
            return
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                # The interpreter knows what to say and which status to end with.
                return
        os._exit((code or 0) & 0xFF)


def _guarded(frame: FrameType | None) -> bool:
    """Whether a `try` or `with` encloses the call that made the flow, anywhere up the stack."""
    while frame is not None:
        at = frame.f_lasti
        entries = getattr(dis.Bytecode(frame.f_code), "exception_entries", ())
        if any(entry.start <= at < entry.end for entry in entries):
            return True
        frame = frame.f_back
    return False


def _unfinished() -> bool:
    """Whether the task has left anything that does something when it is thrown away; what is older is frozen."""
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if hasattr(kind, "__del__") and kind.__name__ not in _HARMLESS}
    return any(_open(one) for one in objects if type(one) in kinds)


def _open(one: Any) -> bool:
    if not isinstance(one, io.IOBase):
        return True
    try:
        return not one.closed and one.writable() and not _standard(one)
    except Exception:
        # One that another thread is making just now, or of a class of the flow's own: the interpreter knows its end.
        return True


def _standard(one: Any) -> bool:
    try:
        return bool(one.fileno() < 3)
    except (OSError, ValueError):
        return False
