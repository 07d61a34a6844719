"""One worker among several: it dies with its parent, and takes no request before all of them have started."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
from dataclasses import astuple, dataclass
from typing import Any

# As many as a byte counts: a worker writes its number when it has started.
MOST = 255
# In the table of connections: this worker accepts none.
ABSENT = 2**32 - 1
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Member:
    """What ties a worker to its parent.

    Attributes:
        worker: its number, counted from 1.
        parent: the parent's pid.
        started: descriptor where it writes its number when it has started.
        gate: descriptor that reads as closed once all workers have started.
        counts: descriptor of the table of connections that all workers share.
    """

    worker: int
    parent: int
    started: int
    gate: int
    counts: int

    def flag(self) -> str:
        """As the value of `--member`."""
        return ":".join(str(part) for part in astuple(self))

    @classmethod
    def of(cls, text: str) -> Member:
        """From the value of `--member`.

        Raises:
            argparse.ArgumentTypeError: it is no such value.
        """
        parts = text.split(":")
        if len(parts) != len(cls.__dataclass_fields__) or not all(part.isdecimal() for part in parts):
            raise argparse.ArgumentTypeError("only the parent of several workers sets it")
        return cls(*(int(part) for part in parts))

    def die_with_parent(self) -> None:
        """Have the kernel kill this process when its parent ends, however it ends.

        Raises:
            SystemExit: it has ended already.
        """
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.parent:
            raise SystemExit("the parent of this worker is gone")

    def start_with_others(self, lifespan: Any) -> None:
        """Make uvicorn's lifespan tell the parent that the application has started, and wait for the other workers.

        Requests that arrive meanwhile wait at the listening socket.
        """
        import asyncio

        startup = lifespan.startup

        async def together(own: Any) -> None:
            await startup(own)
            if own.should_exit:
                return
            os.write(self.started, bytes([self.worker]))
            # Returns when the parent closes its end, at once for a worker that is started again.
            await asyncio.to_thread(os.read, self.gate, 1)

        lifespan.startup = together
