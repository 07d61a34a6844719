"""Reading the box: one thread, one snapshot at a time, one message that replaces its predecessor.

The thread is a daemon of our own and no Textual worker: asyncio waits for its worker threads at exit, so that a read
that hangs would hold up quitting (measured: 4.4 s of a 6 s read), while a daemon thread never does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from boxplat.beginning import Step
from boxplat.core.metrics import Execution, Series, SideBySide
from boxplat.core.model import Event, Run, ServiceStatus, Snapshot
from boxplat.core.registry import Registered
from boxplat.core.sweeps import Sweep, Trial

if TYPE_CHECKING:
    from boxplat.releases.live import Live
    from boxplat.releases.traffic import Return
    from boxplat.runs.profiles.report import StepUse
    from boxplat.runs.shares import Occupancy

SECONDS = 1.0
STALE_SECONDS = 3.0
HISTORY = 120
HOST = "host"


class History(Protocol):
    """What is known of runs."""

    def show(self, run: int) -> Execution:
        """A run with its tasks, attempts and data."""

    def metrics(self, run: int) -> tuple[Series, ...]:
        """What a run has measured by now."""

    def compare(self, runs: Sequence[int]) -> SideBySide:
        """Runs beside each other."""


class Sweeps(Protocol):
    """The trials of sweeps."""

    def show(self, number: int) -> list[Trial]:
        """The trials of a sweep by number."""


class Models(Protocol):
    """The registered models."""

    def status(self) -> tuple[Registered, ...]:
        """What is known of each version; the same object as before where nothing changed.

        Raises:
            BoxError: they cannot be read.
        """


class Queue(Protocol):
    """The line of runs."""

    def machine(self, services: Iterable[ServiceStatus], fresh: float) -> Occupancy:
        """What has a lease, what waits, and who has what of the machine, measured at most `fresh` seconds ago."""


class Endpoints(Protocol):
    """The endpoints."""

    def live(self) -> tuple[Live, ...]:
        """What each release does now; to be called again and again."""

    def before(self, name: str) -> Return:
        """What a rollback would return to.

        Raises:
            BoxError: nothing was live before, or it cannot be read.
        """


class Box(Protocol):
    """What the dashboard needs of a box. All of it is called in the reading thread only, except `root`."""

    @property
    def root(self) -> Path: ...

    @property
    def models(self) -> Models: ...

    @property
    def endpoints(self) -> Endpoints: ...

    @property
    def queue(self) -> Queue: ...

    def snapshot(self) -> Snapshot:
        """Everything that the screens show; the newest runs and events only."""

    def beginning(self) -> tuple[Step, ...]:
        """The first steps in a new box; nothing once a prediction was made."""

    @property
    def history(self) -> History: ...

    @property
    def sweep(self) -> Sweeps: ...

    def runs(self, limit: int) -> list[Run]:
        """The newest runs first."""

    def sweeps(self, limit: int) -> list[Sweep]:
        """The newest sweeps first."""

    def usage(self, run: int) -> tuple[StepUse, ...]:
        """What the steps of a run used, and should ask for."""

    def events(
        self,
        after: int = 0,
        subject: str | None = None,
        limit: int = 200,
        before: int | None = None,
        kind: str | None = None,
        match: str = "",
    ) -> list[Event]:
        """The newest `limit` events between two ids that pass, oldest first."""

    def event_since(self, moment: float) -> int:
        """The id of the first event at or after a moment (seconds since the epoch)."""

    def log_path(self, subject: str) -> Path | None:
        """The log of a service, or of a run by its number: what `box logs SUBJECT` reads. None: none yet.

        Raises:
            BoxError: nothing has this name.
        """


class SnapshotTaken(Message):
    """The box was read."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotTaken)


class SnapshotFailed(Message):
    """The box could not be read."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotFailed)


class Poller(threading.Thread):
    """Reads the box every second, then whatever else the screen in front asks for (`also`)."""

    def __init__(self, box: Box, post: Callable[[Message], object]) -> None:
        super().__init__(name="boxplat-tui-poll", daemon=True)
        self.also: Callable[[], None] | None = None
        self._box = box
        self._post = post
        self._wake = threading.Event()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            message = self._read()
            try:
                self._post(message)
            except RuntimeError:
                return  # the event loop closed while the box was being read
            self._wake.wait(SECONDS)
            self._wake.clear()

    def _read(self) -> Message:
        try:
            snapshot = self._box.snapshot()
            if also := self.also:
                also()
        except Exception as error:  # whatever went wrong is shown, and the next read may succeed
            return SnapshotFailed(error)
        return SnapshotTaken(snapshot)

    def wake(self) -> None:
        """Read again now."""
        self._wake.set()

    def stop(self) -> None:
        """Read no more. Does not wait for a read under way."""
        self._over.set()
        self._wake.set()


class GpuHistory:
    """The last two minutes of each device: utilisation and memory, in percent, by the device's uuid; of the machine
    itself under `HOST`.
    """

    def __init__(self) -> None:
        self.utilisation: dict[str, deque[float | None]] = {}
        self.memory: dict[str, deque[float | None]] = {}

    def add(self, snapshot: Snapshot) -> None:
        if host := snapshot.host:
            busy = None if host.busy is None else 100 * host.busy / host.cores
            held = 100 * host.memory_used / host.memory_total if host.memory_total else None
            self.utilisation.setdefault(HOST, deque(maxlen=HISTORY)).append(busy)
            self.memory.setdefault(HOST, deque(maxlen=HISTORY)).append(held)
        for gpu in snapshot.gpus:
            used = 100 * gpu.memory_used / gpu.memory_total if gpu.memory_total else None
            self.utilisation.setdefault(gpu.uuid, deque(maxlen=HISTORY)).append(gpu.utilisation)
            self.memory.setdefault(gpu.uuid, deque(maxlen=HISTORY)).append(used)
