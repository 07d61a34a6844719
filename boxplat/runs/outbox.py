"""Sending a run's spool to MLflow beside the flow, and the mark that something of it is still unsent."""

from __future__ import annotations

import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.model import Run
from boxplat.core.state import StateStore
from boxplat.runs.shipping import Shipment
from boxplat.runs.spool import Tail

PERIOD = 0.5
LONGEST_PAUSE = 8.0
ANSWER = 10.0


def spool_path(run_dir: Path) -> Path:
    return run_dir / "spool.jsonl"


def box_identity(state: StateStore) -> str:
    """A random id of this box, made once: run numbers start at 1 in every box."""
    return state.meta.get("box.id") or state.meta.made_once("box.id", uuid.uuid4().hex)


class Unsent:
    """The mark, a file in the run's folder, that MLflow lacks something of the run; locked by whoever is sending."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "unsent"
        self._file: int | None = None

    def claim(self, *, make: bool) -> bool:
        """Become the sender. False: another process is, or (without `make`) nothing is unsent."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        # The one before us may have finished, and removed the mark, between our open and our lock.
        if not self._path.exists():
            self.release()
            return False
        return True

    def marked(self) -> bool:
        """Whether MLflow lacks something."""
        return self._path.exists()

    def sent(self) -> None:
        """Everything arrived: remove the mark."""
        self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another process try."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Outbox:
    """Ships a spool from a thread, so that a slow or absent server never holds up the flow.

    Args:
        url: gives the tracking server's URL as it is now, or None while there is none.
        opened: called once with the MLflow run's id, from the sending thread.
        note: called with lines for the run's log.
    """

    def __init__(
        self,
        shipment: Shipment,
        spool: Path,
        url: Callable[[], str | None],
        opened: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        self._shipment = shipment
        self._tail = Tail(spool)
        self._url = url
        self._opened = opened
        self._note = note
        self._told = False
        self._refused = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="outbox", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def attempt(self, timeout: float, final: Run | None = None) -> bool:
        """Send what there is; with `final`, close the MLflow run too. False: the server is not there.

        A server that refuses the run for good counts as done: trying again would change nothing.
        """
        url = self._url()
        if url is None:
            return False
        try:
            api = TrackingApi(url, timeout)
            run_id = self._shipment.open(api)
            if not self._told:
                self._told = True
                self._opened(run_id)
            self._shipment.take(self._tail.read())
            if final is None:
                self._shipment.flush(api)
            else:
                self._shipment.close(api, final)
        except TrackingDownError:
            return False
        except (TrackingRefusedError, LookupError) as error:
            # An answer without the fields of MLflow's comes from some other server.
            self._refused = True
            self._note(f"this run is not tracked: {error!r}")
        return True

    def finish(self, run: Run, patience: float) -> bool:
        """Stop the thread and send the rest within `patience` seconds. False: `boxplat.runs.resend` has work to do."""
        self._stop.set()
        deadline = time.monotonic() + patience
        if self._thread.is_alive():
            self._thread.join(patience)
        if self._thread.is_alive():
            return False
        return self._refused or self.attempt(max(1.0, deadline - time.monotonic()), run)

    def _loop(self) -> None:
        pause = PERIOD
        while not self._stop.wait(pause) and not self._refused:
            arrived = self.attempt(ANSWER)
            pause = PERIOD if arrived else min(2 * pause, LONGEST_PAUSE)
