"""Real processes that want leases, and are killed at any moment: while they wait, hold, or write.

usage: claimants.py DATABASE PROCESSES CLAIMS SEED

A claimant that is killed is followed by another, until every claim was tried. Prints, as JSON, how each ended: granted,
or killed (with `lease` where it had one). The machine is a fake one: `CAPACITY`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from boxplat.core.claims import Capacity, Claim, Device, Lease, Priority, Waiting
from boxplat.core.state.database import Database
from boxplat.core.state.leases import Books
from boxplat.runs.capacity import Reading
from boxplat.runs.ledger import Ledger

GIB = 2**30
CAPACITY = Capacity(4.0, 16 * GIB, (Device("GPU-0", "fake", 24 * GIB, GIB), Device("GPU-1", "fake", 24 * GIB, 0)), GIB)
KILLED = ("waiting", "writing", "holding", "measuring")


class Fake:
    """A machine that is always the same; it may take the life of who measures it."""

    def __init__(self, measuring: Callable[[], None] = lambda: None) -> None:
        self._measuring = measuring

    def quick(self, devices: tuple[Device, ...]) -> Capacity:
        return CAPACITY

    def measure(self, leases: Sequence[Lease], gpus: bool) -> Reading:
        self._measuring()
        return Reading(CAPACITY, {})


def claim(chance: random.Random) -> Claim:
    """Anything that fits the empty machine."""
    gpus = chance.choice([0.0, 0.0, 0.5, 1.0, 2.0])
    return Claim(
        cores=chance.choice([0.5, 1.0, 2.0, 4.0]),
        memory=chance.choice([GIB, 4 * GIB, 15 * GIB]),
        gpus=gpus,
        vram=chance.choice([0, 4 * GIB, 20 * GIB]) if gpus else 0,
        priority=chance.choice(list(Priority)),
        expected_seconds=chance.choice([None, 0.01, 1.0]),
    )


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Claimant:
    """One process's share of the claims; `number` is the one that it is at."""

    def __init__(self, database: Path, seed: int, told: int) -> None:
        self._chance = random.Random(seed)
        self._told = told
        self._end = ""
        self._ledger = Ledger(Database(database), Fake(lambda: self._at("measuring")))
        granting = Books.grant

        def grant(books: Books, row: Waiting, devices: tuple[str, ...], ticks: float) -> Lease:
            lease = granting(books, row, devices, ticks)
            self._at("writing")
            return lease

        Books.grant = grant  # type: ignore[method-assign]

    def _at(self, place: str) -> None:
        if self._end == place:
            die()

    def one(self, number: int) -> None:
        """Ask, hold for a moment, give back; or end by kill -9 somewhere on the way."""
        self._end = self._chance.choice([*KILLED, *[""] * 26])
        os.write(self._told, f"{number} {os.getpid()} {self._end or 'asks'}\n".encode())
        lease = self._ledger.acquire(f"run/{number}/step/1", claim(self._chance), told=lambda _: self._at("waiting"))
        threading.Event().wait(self._chance.random() * 0.01)
        self._at("holding")
        self._ledger.release(lease.id)
        os.write(self._told, f"{number} {os.getpid()} granted\n".encode())


def start(database: Path, numbers: Sequence[int], seed: int, told: int) -> int:
    """Fork a claimant; nothing of the state is open here."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        claimant = Claimant(database, seed, told)
        for number in numbers:
            claimant.one(number)
        status = 0
    finally:
        os._exit(status)


def main(database: Path, processes: int, claims: int, seed: int) -> None:
    # A file and no pipe: what one that was killed has written last is there as soon as its end is known.
    file = database.with_name(f"{database.name}.told")
    told = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    shares = {}
    for index in range(processes):
        numbers = list(range(index, claims, processes))
        shares[start(database, numbers, seed + index, told)] = numbers
    failed = 0
    while shares:
        pid, status = os.wait()
        numbers = shares.pop(pid)
        if os.WIFSIGNALED(status):
            # The one that was being tried is over with its process.
            begun = [int(line.split()[0]) for line in file.read_text().splitlines() if int(line.split()[1]) == pid]
            left = [number for number in numbers if number > max(begun, default=-1)]
            seed += processes
            shares[start(database, left, seed, told)] = left
        failed += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
    print(json.dumps({"lines": file.read_text().splitlines(), "failed": failed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
