"""One worker among several: it dies with its parent, and takes no request before all of them have started."""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
from dataclasses import astuple, dataclass

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Member:
    """What ties a worker to its parent.

    Attributes:
        worker: its number, counted from 1.
        parent: the parent's pid.
        started: descriptor where it writes its number when it has started.
        gate: descriptor that reads as closed once all workers have started.
        table: descriptor of the `Table` that all workers share.
    """

    worker: int
    parent: int
    started: int
    gate: int
    table: int

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

    def has_started(self) -> None:
        """Tell the parent."""
        os.write(self.started, bytes([self.worker]))

    def all_have_started(self) -> bool:
        """Whether the other workers have, too; once they have it stays so, also for a worker that is started again."""
        return bool(select.select([self.gate], [], [], 0)[0])
