"""Leases of the processes of releases, as the supervisor takes, hands on and ends them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from boxplat.core.claims import Capacity, Claim, Device, Lease
from boxplat.core.model import Service
from boxplat.core.replicas import KIND
from boxplat.core.state import StateStore
from boxplat.runs.ledger import Ledger
from boxplat.supervisor.leasing import Leasing
from tests.runs.test_ledger import GIB, Fake

DELAY = Service("delay@7", ("serve",), kind=KIND, memory_mib=2048, gpu_memory_mib=10 * 1024)


@pytest.fixture
def ledger(state: StateStore) -> Ledger:
    return Ledger(state.database, Fake())


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


def leasing(ledger: Ledger) -> Leasing:
    return Leasing(ledger, list)


def leases(ledger: Ledger) -> tuple[Lease, ...]:
    return ledger.holdings().leases


def test_a_process_has_its_lease_from_before_its_start_to_its_end(
    ledger: Ledger, state: StateStore, process: subprocess.Popen[bytes]
) -> None:
    there = leasing(ledger)
    assert there.ask(DELAY) == "" == there.ask(DELAY)
    assert there.environment("delay@7") == {"CUDA_VISIBLE_DEVICES": "GPU-0"}
    there.started("delay@7", process.pid)
    (lease,) = leases(ledger)
    assert (lease.owner, lease.pid, lease.claim.cores) == ("service/delay@7", process.pid, 0.0)
    assert (lease.claim.memory, lease.claim.vram) == (2 * GIB, 10 * GIB)
    process.kill()
    process.wait()
    there.ended("delay@7")
    assert leases(ledger) == () and there.environment("delay@7") == {}
    assert [event.kind for event in state.events.all()] == [], "nothing was lost"


def test_without_room_it_waits_before_all_runs_and_leaves_when_it_is_not_wanted(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boxplat.supervisor.leasing._AGAIN", 0.0)
    there = leasing(ledger)
    run = ledger.ask("run/1/train/1", Claim(1.0, 9 * GIB))
    assert isinstance(run, Lease)
    assert there.ask(DELAY).startswith("waits for room: needs 2.0 GiB of memory, 1.0 GiB of 10.0 GiB are free; run/1/")
    ledger.ask("run/2/train/1", Claim(1.0, 9 * GIB))
    assert [row.owner for row in ledger.holdings().waiting] == ["service/delay@7", "run/2/train/1"]
    ledger.release(run.id)
    assert there.ask(DELAY) == ""
    there.ended("delay@7")
    ledger.withdraw("run/2/train/1")
    ledger.ask("run/1/train/1", Claim(1.0, 9 * GIB))
    assert there.ask(DELAY)
    there.ended("delay@7")
    assert ledger.holdings().waiting == ()


def test_after_a_crash_nobody_gets_between(ledger: Ledger, process: subprocess.Popen[bytes]) -> None:
    there = leasing(ledger)
    there.ask(DELAY)
    there.started("delay@7", process.pid)
    ledger.ask("run/1/train/1", Claim(1.0, 9 * GIB))
    process.kill()
    process.wait()
    there.crashed("delay@7")
    (lease,) = leases(ledger)
    assert (lease.owner, lease.pid, lease.devices) == ("service/delay@7", os.getpid(), ("GPU-0",))
    assert there.ask(DELAY) == ""
    there.ended("delay@7")
    assert leases(ledger) == ()


def test_what_was_struck_out_before_is_asked_for_again(ledger: Ledger, process: subprocess.Popen[bytes]) -> None:
    there = leasing(ledger)
    there.ask(DELAY)
    there.started("delay@7", process.pid)
    process.kill()
    process.wait()
    run = ledger.ask("run/1/train/1", Claim(1.0, 9 * GIB))
    there.crashed("delay@7")
    assert isinstance(run, Lease) and there.ask(DELAY).startswith("waits for room")
    there.ended("delay@7")


def test_a_supervisor_that_follows_finds_the_lease_or_takes_one(
    ledger: Ledger, process: subprocess.Popen[bytes]
) -> None:
    before = leasing(ledger)
    before.ask(DELAY)
    before.started("delay@7", process.pid)
    (lease,) = leases(ledger)
    for given_back in (False, True):
        if given_back:
            ledger.release(lease.id)
        after = leasing(ledger)
        after.adopt(DELAY, process.pid)
        (found,) = leases(ledger)
        assert (found.owner, found.pid, found.id == lease.id) == (lease.owner, process.pid, not given_back)
    after.ended("delay@7")
    assert leases(ledger) == ()


def test_one_that_runs_without_room_for_it_keeps_running_and_waits_for_nothing(
    ledger: Ledger, process: subprocess.Popen[bytes]
) -> None:
    ledger.ask("run/1/train/1", Claim(1.0, 9 * GIB))
    there = leasing(ledger)
    there.adopt(DELAY, process.pid)
    assert [lease.owner for lease in leases(ledger)] == ["run/1/train/1"] and ledger.holdings().waiting == ()
    assert process.poll() is None


def test_what_the_machine_never_has_is_said_and_other_kinds_need_nothing(state: StateStore) -> None:
    small = Fake()
    small.capacity = Capacity(1.0, GIB, (Device("GPU-0", "fake", GIB),))
    there = leasing(Ledger(state.database, small))
    assert "asks for 2.0 GiB of memory; at most 1.0 GiB can be claimed here" in there.ask(DELAY)
    assert there.ask(Service("tracking", ("serve",), memory_mib=4096)) == ""
