"""One ledger for everybody who wants memory, cores or a GPU of this machine.

Whoever wants a lease decides about it himself, in a write transaction of the box's state: nobody else decides at the
same time, and a lease is worth as much as the process it is tied to. So no server has to run, and nothing has to be
cleaned up after one that was killed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from boxplat.core import processes
from boxplat.core.claims import Capacity, Claim, Holdings, Lease, Waiting
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.state.database import Database
from boxplat.core.state.leases import Books, Leases
from boxplat.runs.capacity import Gauge, Machine, Reading
from boxplat.runs.plan import Verdict, order, plan
from boxplat.runs.samples import Sample
from boxplat.runs.space import Space
from boxplat.runs.words import never

_POLL = 0.03
_LOOK_AGAIN = 1.0
_CHECK_HOLDERS = 0.25
# A measurement of this age is as good as a new one.
FRESH = 0.5
_NEW = 2**62


class Ledger:
    """The ledger of one box, in this process: no open connection may be carried over a fork.

    Args:
        database: the state.
        gauge: what there is to claim; as a rule this machine.
    """

    def __init__(self, database: Database, gauge: Gauge | None = None) -> None:
        self._database = database
        self._leases = Leases(database)
        self._gauge = gauge or Machine()
        self._seen: tuple[tuple[int, int], int] | None = None
        self._holders_due = 0.0

    def ask(
        self, owner: str, claim: Claim, position: float = 0.0, pid: int | None = None, started: bool = False
    ) -> Lease | Waiting:
        """A lease if there is room and it is our turn, else a place among the waiting; returns at once.

        Args:
            owner: who asks: `run/12/train/3`, `service/delay@7`.
            position: lower ones go first within the priority.
            pid: the process that the lease is tied to (this one).
            started: whether that process has taken what it claims already.

        Raises:
            BoxError: the claim could not be granted even if nothing else ran (exit code 8), or the state cannot be
                written (4).
        """
        pid = pid or os.getpid()
        ticks = processes.start_ticks(pid)
        if ticks is None:
            raise ProcessLookupError(f"no process {pid} to lease anything to")
        row = Waiting(_NEW, owner, claim, time.time(), pid, position)
        sample = self._sample()
        if not started:
            lease = self._quickly(row, ticks, sample)
            if lease is not None:
                return lease
        reading = self._reading(sample, claim.gpus > 0, FRESH, row if started else None)
        refuse(owner, claim, reading.capacity)
        with self._leases.write() as books:
            verdict = _verdict(books, row, reading)
            if verdict.devices is not None:
                return books.grant(row, verdict.devices, ticks)
            return books.wait(replace(row, why=verdict.why, estimate=verdict.estimate), ticks)

    def acquire(
        self,
        owner: str,
        claim: Claim,
        position: float = 0.0,
        pid: int | None = None,
        timeout: float | None = None,
        told: Callable[[Waiting], None] | None = None,
    ) -> Lease:
        """Wait for a lease.

        Args:
            timeout: seconds to wait at most; None: for ever.
            told: called with each new reason to wait.

        Raises:
            BoxError: as `ask`; or nothing was free in time (exit code 6).
        """
        end = None if timeout is None else time.monotonic() + timeout
        why = ""
        while True:
            answer = self.ask(owner, claim, position, pid)
            if isinstance(answer, Lease):
                return answer
            if told is not None and answer.why != why:
                told(answer)
            why = answer.why
            if end is not None and time.monotonic() >= end:
                self.withdraw(owner, pid)
                raise _late(owner, why, timeout or 0.0)
            self.pause(end)

    def pause(self, end: float | None = None) -> None:
        """Until the ledger is worth another look, for a second at most; `end` is monotonic seconds."""
        nap, until = threading.Event(), time.monotonic() + _LOOK_AGAIN
        until = until if end is None else min(until, end)
        while time.monotonic() < until and not self.changed():
            nap.wait(_POLL)

    def changed(self) -> bool:
        """Whether somebody has given something back, waits no longer or has died, since this was asked last."""
        version = self._database.version()
        if self._seen is None or version != self._seen[0]:
            before = self._seen
            self._seen = (version, self._leases.sequence())
            if before is None or before[1] != self._seen[1]:
                return True
        now = time.monotonic()
        if now < self._holders_due:
            return False
        self._holders_due = now + _CHECK_HOLDERS
        return not self._leases.alive()

    def release(self, lease_id: int) -> None:
        """Give a lease back; one that has ended is no error."""
        with self._leases.write(given_back=lease_id):
            return

    def withdraw(self, owner: str, pid: int | None = None) -> None:
        """Wait no longer."""
        with self._leases.write() as books:
            books.withdraw(owner, pid or os.getpid())

    def hand(self, lease_id: int, pid: int) -> bool:
        """Tie a lease to another process, as a rule a child that was just started. False: one of the two has ended."""
        ticks = processes.start_ticks(pid)
        with self._leases.write() as books:
            return ticks is not None and books.hand(lease_id, pid, ticks)

    def retake(self, lease: Lease) -> Lease | None:
        """Have a lease whose process has just died for this process, unless somebody has struck it out before."""
        ticks = processes.start_ticks(os.getpid()) or 0.0
        with self._leases.write() as books:
            if all(one.id != lease.id for one in books.lost):
                return None
            row = Waiting(_NEW, lease.owner, lease.claim, time.time(), os.getpid())
            return books.grant(row, lease.devices, ticks)

    def reap(self) -> list[Lease]:
        """End the leases of dead processes; returns them. Every other call does the same."""
        with self._leases.write() as books:
            return books.lost

    def holdings(self, fresh: float = FRESH) -> Holdings:
        """Capacity, leases and the waiting, who is served first before; measured at most `fresh` seconds ago."""
        reading = self._reading(self._sample(), True, fresh, None)
        leases, waiting = self._leases.living()
        verdicts = plan(reading.capacity, _used(leases, reading), waiting, time.time())
        told = tuple(replace(one.waiting, why=one.why, estimate=one.estimate) for one in verdicts)
        return Holdings(reading.capacity, tuple(_used(leases, reading)), told)

    # -- one decision --------------------------------------------------------------------------------------------

    def _quickly(self, row: Waiting, ticks: float, sample: Sample) -> Lease | None:
        """A lease for one that is first in line, where there is room even if nothing of what is used is ours."""
        if row.claim.gpus and not sample.fresh(FRESH, True):
            return None
        capacity = self._gauge.quick(sample.capacity.devices)
        if never(capacity, row.claim):
            return None
        with self._leases.write() as books:
            waiting = books.waiting()
            if waiting and order([*_others(waiting, row), row])[0] is not row:
                return None
            devices = Space(capacity, books.leases()).place(row.claim)
            return None if devices is None else books.grant(row, devices, ticks)

    def _sample(self) -> Sample:
        return Sample.of(self._leases.sample())

    def _reading(self, sample: Sample, gpus: bool, fresh: float, started: Waiting | None) -> Reading:
        """The machine now; what a process that has `started` has already is no other's."""
        leases, waiting = self._leases.living()
        gpus = gpus or any(row.claim.gpus for row in waiting)
        if started is None and sample.fresh(fresh, gpus):
            return sample.now(self._gauge.quick(sample.capacity.devices), leases)
        own = [] if started is None else [Lease(0, started.owner, started.claim, (), started.pid, started.since)]
        reading, record = sample.completed(self._gauge.measure([*leases, *own], gpus), gpus)
        if started is not None:
            beyond = max(0, reading.used.get(0, (0, 0))[0] - started.claim.memory)
            return replace(reading, capacity=replace(reading.capacity, foreign=reading.capacity.foreign + beyond))
        with self._leases.write() as books:
            books.keep(record, reading.used)
        return reading


def environment(lease: Lease) -> dict[str, str]:
    """What a process of the lease must have in its environment to see its devices, and no others."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(lease.devices)} if lease.devices else {}


def refuse(owner: str, claim: Claim, capacity: Capacity) -> None:
    """Refuse at once what would wait for ever.

    Raises:
        BoxError: not even the empty machine has room for it (exit code 8).
    """
    why = never(capacity, claim)
    if why:
        raise BoxError(
            f"{owner} {why}",
            why="it would wait for ever: this is what the machine has, or what [compute] in boxplat.toml leaves of it",
            fix="ask for less (@resources, @vram), or see what there is: box queue",
            code=ExitCode.NO_COMPUTE,
        )


def _verdict(books: Books, row: Waiting, reading: Reading) -> Verdict:
    """About one that asks, beside all that wait; it keeps the place that it has."""
    waiting = books.waiting()
    known = next((one for one in waiting if (one.owner, one.pid) == (row.owner, row.pid)), None)
    row = row if known is None else replace(row, id=known.id, since=known.since)
    verdicts = plan(reading.capacity, _used(books.leases(), reading), [*_others(waiting, row), row], time.time())
    return next(one for one in verdicts if one.waiting is row)


def _others(waiting: Iterable[Waiting], row: Waiting) -> list[Waiting]:
    return [one for one in waiting if (one.owner, one.pid) != (row.owner, row.pid)]


def _used(leases: Iterable[Lease], reading: Reading) -> list[Lease]:
    """The leases with what their processes have by this reading."""
    found = []
    for lease in leases:
        memory, vram = reading.used.get(lease.id, (0, 0))
        found.append(replace(lease, used=memory, vram_used=vram))
    return found


def _late(owner: str, why: str, timeout: float) -> BoxError:
    return BoxError(
        f"{owner} got no lease within {timeout:g} s",
        why=why,
        fix="box queue   (who holds what; box queue cancel ends what is not needed)",
        code=ExitCode.TIMED_OUT,
    )
