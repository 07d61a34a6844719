"""Several workers on one listening socket, and the small process that starts them anew when they die.

No asyncio and no BentoML here: this process stays small and cannot be held up by what the workers do.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boxplat.core.backoff import Backoff
from boxplat.serving.team.member import Member
from boxplat.serving.team.table import Table

_POLL = 0.05
LOOK_SECONDS = 5.0
_MOST_STILL = 12
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

Command = Callable[[Member], Sequence[str]]


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[bytes] | None = None
    beat: int = 0
    still: int = 0
    backoff: Backoff = field(default_factory=Backoff)


class Workers:
    """The parent of an endpoint's workers.

    Args:
        command: the command line of a worker.
        count: how many.
        listening: descriptor of the listening socket that they share.
        metrics: folder of their counters.
        stop_seconds: what a worker may take to answer the requests under way when it is told to stop.
    """

    def __init__(self, command: Command, count: int, listening: int, metrics: Path, stop_seconds: float) -> None:
        self._command = command
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._listening = listening
        self._metrics = metrics
        self._stop_seconds = stop_seconds
        self._started, self._tell_started = os.pipe()
        self._gate, self._keep_gate = os.pipe()
        self._memory = Table.made()
        self._table = Table(self._memory)
        for worker in self._workers:
            self._table.clear(worker.number)
        self._all_started = False
        self._unheard = {worker.number for worker in self._workers}
        self._asked_to_stop = False
        self._next_look = 0.0

    def run(self) -> int:
        """Until SIGTERM, a failed start or a worker that keeps dying; the exit status."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._started, selectors.EVENT_READ)
            waiting.register(self._wake_on_signals(), selectors.EVENT_READ)
            for worker in self._workers:
                self._start(worker)
            status = None
            while status is None and not self._asked_to_stop:
                self._wait(waiting)
                status = self._step()
                self._kill_stuck()
            self._stop()
        return status or 0

    def _wake_on_signals(self) -> int:
        """A descriptor that can be read after a signal."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._noted)
        return reading

    def _noted(self, number: int, _: object) -> None:
        self._asked_to_stop = self._asked_to_stop or number != signal.SIGCHLD

    def _wait(self, waiting: selectors.DefaultSelector) -> None:
        """Until something happens, the next worker is due, or it is time to look after them."""
        due = [worker.backoff.retry_at for worker in self._workers if worker.process is None]
        until = min([self._next_look, *due])
        for key, _ in waiting.select(max(0.0, until - time.monotonic())):
            told = os.read(key.fd, 4096)
            if key.fd == self._started:
                self._heard(told)

    def _heard(self, numbers: bytes) -> None:
        now = time.monotonic()
        for number in numbers:
            self._workers[number - 1].backoff.healthy(now)
            self._unheard.discard(number)
        if not self._unheard and not self._all_started:
            self._all_started = True
            os.close(self._keep_gate)

    def _step(self) -> int | None:
        """Reap and start. A status: it is time to end with it."""
        for worker in self._workers:
            status = worker.process.poll() if worker.process else None
            # A signal to the whole group reaches the workers too: those that end then are not to be started again.
            if status is not None and not self._asked_to_stop and not self._goes_on(worker, status):
                return status if status > 0 else 1
        now = time.monotonic()
        for worker in self._workers:
            if worker.process is None and worker.backoff.retry_at <= now and not self._asked_to_stop:
                self._start(worker)
        return None

    def _goes_on(self, worker: _Worker, status: int) -> bool:
        """Note that a worker is gone; whether it will be started again."""
        assert worker.process is not None
        self._forget(worker.process.pid)
        self._table.clear(worker.number)
        ended = f"worker {worker.number} (pid {worker.process.pid}) ended with status {status}"
        worker.process = None
        if not self._all_started:
            # Whoever started us tries again, and sees that a start has failed.
            _say(f"{ended} before all had started")
            return False
        if not worker.backoff.failed(time.monotonic()):
            _say(f"{ended}, the {worker.backoff.failures}th time in a row: giving up")
            return False
        _say(f"{ended}; next start in {max(0.0, worker.backoff.retry_at - time.monotonic()):.1f} s")
        return True

    def _start(self, worker: _Worker) -> None:
        member = Member(worker.number, os.getpid(), self._tell_started, self._gate, self._memory)
        descriptors = (self._listening, self._tell_started, self._gate, self._memory)
        worker.beat, worker.still = 0, 0
        worker.process = subprocess.Popen(self._command(member), pass_fds=descriptors)

    def _kill_stuck(self) -> None:
        """End workers whose event loop has not turned for long: the supervisor's checks reach only those that accept.

        What counts is how often we looked, not the time: after a pause of the whole machine all beats are old.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for worker in self._workers:
            beat = self._table.beats[worker.number - 1]
            worker.still = worker.still + 1 if beat and beat == worker.beat else 0
            worker.beat = beat
            if worker.still >= _MOST_STILL and worker.process is not None:
                _say(f"worker {worker.number} (pid {worker.process.pid}) answers nothing: killing it")
                worker.still = 0
                worker.process.kill()

    def _forget(self, pid: int) -> None:
        """Drop a dead worker's gauges of what is now; what it counted stays in the sums."""
        for file in self._metrics.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)

    def _stop(self) -> None:
        """Tell every worker to end, give them time for the requests under way, and leave none behind."""
        living = [worker.process for worker in self._workers if worker.process is not None]
        for process in living:
            process.terminate()
        deadline = time.monotonic() + self._stop_seconds
        while any(process.poll() is None for process in living) and time.monotonic() < deadline:
            time.sleep(_POLL)
        for process in living:
            process.kill()
            process.wait()


def _say(words: str) -> None:
    print(words, flush=True)
