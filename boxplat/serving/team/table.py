"""What the workers of an endpoint and their parent tell each other: a few numbers in memory that all of them share."""

from __future__ import annotations

import mmap
import os

# As many as a byte counts: a worker writes its number when it has started.
MOST = 255
# Instead of a number of connections: this worker accepts none.
ABSENT = 2**32 - 1
_BYTES = 2 * MOST * 4


class Table:
    """For each worker, by its number, how many connections it has, and a beat that grows while its event loop turns.

    Args:
        descriptor: of the memory, as `made` gives it.
    """

    def __init__(self, descriptor: int) -> None:
        numbers = memoryview(mmap.mmap(descriptor, _BYTES)).cast("I")
        # Numbers of workers count from 1.
        self.connections = numbers[:MOST]
        self.beats = numbers[MOST:]

    @staticmethod
    def made() -> int:
        """The descriptor of a new one."""
        descriptor = os.memfd_create("workers")
        os.ftruncate(descriptor, _BYTES)
        return descriptor

    def clear(self, number: int) -> None:
        """That worker is not there: nobody leaves it connections, or waits for its beat."""
        self.connections[number - 1], self.beats[number - 1] = ABSENT, 0

    def beat(self, number: int) -> None:
        """The event loop of that worker turns."""
        self.beats[number - 1] = self.beats[number - 1] % ABSENT + 1
