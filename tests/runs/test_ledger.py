"""Leases of real processes: what ends them, what they are tied to, and what breaks under them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from boxplat.core import processes
from boxplat.core.claims import Capacity, Claim, Device, Lease, Priority, Waiting
from boxplat.core.compute import ComputeConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.database import Database
from boxplat.runs.capacity import Machine, Reading
from boxplat.runs.ledger import Ledger, environment
from boxplat.runs.limits import Limits, Memory
from boxplat.runs.overuse import Watch

GIB = 2**30
PATIENCE = 90.0


class Fake:
    """A machine of two cores, ten GiB and a device; tests change what is there and what is used."""

    def __init__(self) -> None:
        self.capacity = Capacity(2.0, 10 * GIB, (Device("GPU-0", "fake", 100 * GIB),))
        self.used: dict[int, tuple[int, int]] = {}
        self.measured = 0

    def quick(self, devices: tuple[Device, ...]) -> Capacity:
        """What is used by leases counts as others' here."""
        taken = self.capacity.foreign + sum(memory for memory, _ in self.used.values())
        return replace(self.capacity, devices=devices, foreign=taken)

    def measure(self, leases: Sequence[Lease], gpus: bool) -> Reading:
        self.measured += 1
        known = {lease.id: self.used[lease.id] for lease in leases if lease.id in self.used}
        return Reading(replace(self.capacity, devices=self.capacity.devices if gpus else ()), known)


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def ledger(state: StateStore, fake: Fake) -> Ledger:
    return Ledger(state.database, fake)


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Processes that wait to be killed."""
    there: list[subprocess.Popen[bytes]] = []

    def start(code: str = "", *arguments: str) -> subprocess.Popen[bytes]:
        code = f"import sys\n{code}\nprint('there', flush=True)\nsys.stdin.read()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        there.append(subprocess.Popen([sys.executable, "-c", code, *arguments], **pipes))  # type: ignore[call-overload]
        assert there[-1].stdout is not None and there[-1].stdout.readline() == b"there\n"
        return there[-1]

    yield start
    for process in there:
        process.kill()
        process.communicate()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        threading.Event().wait(0.01)


def leased(answer: Lease | Waiting) -> Lease:
    assert isinstance(answer, Lease), answer
    return answer


def waits(answer: Lease | Waiting) -> Waiting:
    assert isinstance(answer, Waiting), answer
    return answer


def test_a_lease_is_given_back_and_the_next_is_granted(ledger: Ledger) -> None:
    share = Claim(1.0, GIB, 1.0, 60 * GIB, expected_seconds=90.0)
    first = leased(ledger.ask("run/1/train/1", share))
    assert first.devices == ("GPU-0",) and environment(first) == {"CUDA_VISIBLE_DEVICES": "GPU-0"}
    second = waits(ledger.ask("run/2/train/1", share))
    assert "free: 40.0 GiB of 100.0 GiB" in second.why and "run/1/train/1 has 60.0 GiB" in second.why
    assert second.estimate is not None and abs(second.estimate - first.since - 90.0) < 5.0
    endpoint = leased(ledger.ask("service/delay@7", Claim(0.0, GIB, 1.0, 10 * GIB, Priority.SERVING)))
    assert [one.owner for one in ledger.holdings().leases] == ["run/1/train/1", "service/delay@7"]
    ledger.release(first.id)
    assert leased(ledger.ask("run/2/train/1", share)).devices == ("GPU-0",)
    ledger.release(endpoint.id)


def test_the_same_with_memory_and_cores_where_there_is_no_gpu(ledger: Ledger, fake: Fake) -> None:
    fake.capacity = Capacity(2.0, 10 * GIB)
    share = Claim(1.0, 6 * GIB, expected_seconds=90.0)
    leased(ledger.ask("service/delay@7", Claim(0.0, GIB, priority=Priority.SERVING)))
    first = leased(ledger.ask("run/1/train/1", share))
    second = waits(ledger.ask("run/2/train/1", share))
    assert "needs 6.0 GiB of memory, 3.0 GiB of 10.0 GiB are free; run/1/train/1 has 6.0 GiB" in second.why
    assert second.estimate is not None
    done = threading.Thread(target=ledger.release, args=(first.id,))
    done.start()
    assert ledger.acquire("run/2/train/1", share, timeout=PATIENCE).claim == share
    done.join()


def test_of_several_that_wait_the_class_then_the_place_decides(ledger: Ledger, state: StateStore) -> None:
    first = leased(ledger.ask("run/1/a/1", Claim(2.0)))
    for owner, priority, position in (
        ("run/2/a/1", Priority.BATCH, 1.0),
        ("run/4/a/1", Priority.INTERACTIVE, 4.0),
        ("run/3/a/1", Priority.INTERACTIVE, 3.0),
    ):
        waits(ledger.ask(owner, Claim(2.0, priority=priority), position))
    assert [row.owner for row in ledger.holdings().waiting] == ["run/3/a/1", "run/4/a/1", "run/2/a/1"]
    ledger.release(first.id)
    waits(ledger.ask("run/2/a/1", Claim(2.0), 1.0))
    waits(ledger.ask("run/4/a/1", Claim(2.0, priority=Priority.INTERACTIVE), 4.0))
    leased(ledger.ask("run/3/a/1", Claim(2.0, priority=Priority.INTERACTIVE), 3.0))
    kinds = [event.kind for event in state.events.all(subject="run/3/a/1")]
    assert kinds == ["lease.waits", "lease.granted"]


def test_one_that_waits_without_looking_stops_nobody(
    ledger: Ledger, child: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process is alive, and would be first in line for ever."""
    stopped = child()
    first = leased(ledger.ask("run/1/a/1", Claim(2.0)))
    waits(ledger.ask("run/2/a/1", Claim(2.0, priority=Priority.SERVING), pid=stopped.pid))
    ledger.release(first.id)
    waits(ledger.ask("run/3/a/1", Claim(2.0)))
    later = time.monotonic() + 11.0
    monkeypatch.setattr("time.monotonic", lambda: later)
    leased(ledger.ask("run/3/a/1", Claim(2.0)))


def test_a_lease_ends_with_its_process(
    ledger: Ledger, state: StateStore, child: Callable[..., subprocess.Popen[bytes]]
) -> None:
    holder = child()
    leased(ledger.ask("run/1/a/1", Claim(2.0), pid=holder.pid))
    waits(ledger.ask("run/2/a/1", Claim(2.0)))
    ledger.changed()
    holder.send_signal(signal.SIGKILL)
    # It is a zombie now: nobody waits for it here.
    until(ledger.changed, "the death is seen without anybody writing")
    leased(ledger.ask("run/2/a/1", Claim(2.0)))
    assert [event.kind for event in state.events.all(subject="run/1/a/1")] == ["lease.lost"]


def test_a_number_that_was_used_again_holds_nothing(ledger: Ledger, state: StateStore) -> None:
    leased(ledger.ask("run/1/a/1", Claim(2.0)))
    with state.database.write() as tx:
        tx.execute("update lease set ticks = ticks - 1")
    assert ledger.holdings().leases == ()
    leased(ledger.ask("run/2/a/1", Claim(2.0)))


def test_nothing_of_before_a_reboot_is_held(ledger: Ledger, state: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    leased(ledger.ask("run/1/a/1", Claim(2.0)))
    waits(ledger.ask("run/2/a/1", Claim(2.0)))
    monkeypatch.setattr("boxplat.core.state.leases.boot_id", lambda: "another")
    assert ledger.holdings().leases == ()
    leased(ledger.ask("run/3/a/1", Claim(2.0)))


def test_a_lease_is_handed_to_a_child(ledger: Ledger, child: Callable[..., subprocess.Popen[bytes]]) -> None:
    lease = leased(ledger.ask("service/delay@7", Claim(0.0, GIB)))
    process = child()
    assert ledger.hand(lease.id, process.pid) and ledger.holdings().leases[0].pid == process.pid
    process.kill()
    process.wait()
    assert [lost.id for lost in ledger.reap()] == [lease.id]
    assert not ledger.hand(lease.id, os.getpid())


def test_kill_while_the_books_are_open_leaves_them_as_they_were(
    ledger: Ledger, state: StateStore, child: Callable[..., subprocess.Popen[bytes]]
) -> None:
    writer = child(
        "from pathlib import Path\nfrom boxplat.core.state.database import Database\n"
        "tx = Database(Path(sys.argv[1])).write()\nopen_tx = tx.__enter__()\n"
        "open_tx.execute('delete from ledger')",
        str(state.database.path),
    )
    got: list[Lease | Waiting] = []
    asking = threading.Thread(
        target=lambda: got.append(Ledger(Database(state.database.path), Fake()).ask("a", Claim()))
    )
    asking.start()
    asking.join(0.3)
    assert got == [], "the lock is held"
    writer.kill()
    asking.join(PATIENCE)
    leased(got[0])


def test_a_full_disk_grants_nothing_and_loses_nothing(ledger: Ledger, state: StateStore) -> None:
    first = leased(ledger.ask("run/1/a/1", Claim(1.0)))
    with state.database.read() as db:
        pages = db.execute("pragma page_count").fetchone()[0]
        db.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(BoxError, match="cannot write") as caught:
        ledger.ask(f"run/2/{'a' * 100_000}/1", Claim(1.0))
    assert caught.value.code is ExitCode.PRECONDITION
    assert [one.id for one in ledger.holdings().leases] == [first.id]
    ledger.release(first.id)
    assert ledger.holdings().leases == ()


def test_what_never_fits_is_refused_at_once(ledger: Ledger) -> None:
    with pytest.raises(BoxError, match="asks for 3 cores; at most 2 can be claimed here") as caught:
        ledger.ask("run/1/a/1", Claim(3.0))
    assert caught.value.code is ExitCode.NO_COMPUTE and ledger.holdings().waiting == ()


def test_waiting_ends_in_time_and_leaves_no_place(ledger: Ledger) -> None:
    leased(ledger.ask("run/1/a/1", Claim(2.0)))
    told: list[str] = []
    with pytest.raises(BoxError, match="got no lease within") as caught:
        ledger.acquire("run/2/a/1", Claim(2.0), timeout=0.1, told=lambda row: told.append(row.why))
    assert caught.value.code is ExitCode.TIMED_OUT
    assert told == ["needs 2 core(s), 0 of 2 are free; run/1/a/1 has 2"] and ledger.holdings().waiting == ()


def test_memory_that_a_lease_has_not_used_yet_is_taken_all_the_same(ledger: Ledger, fake: Fake) -> None:
    """Eight of ten GiB are free, but four of them are promised."""
    first = leased(ledger.ask("run/1/a/1", Claim(1.0, 6 * GIB)))
    fake.used[first.id] = (2 * GIB, 0)
    waits(ledger.ask("run/2/a/1", Claim(1.0, 5 * GIB)))
    leased(ledger.ask("run/2/a/1", Claim(1.0, 4 * GIB)))


def test_a_strangers_memory_counts_from_the_moment_it_is_there(ledger: Ledger, fake: Fake) -> None:
    waits_for = Claim(1.0, 6 * GIB)
    fake.capacity = replace(fake.capacity, foreign=5 * GIB)
    assert "processes without a lease 5.0 GiB" in waits(ledger.ask("run/1/a/1", waits_for)).why
    fake.capacity = replace(fake.capacity, foreign=0)
    assert ledger.acquire("run/1/a/1", waits_for, timeout=PATIENCE)
    # A measurement of a moment ago says nothing of what was taken since.
    ledger.holdings()
    fake.capacity = replace(fake.capacity, foreign=4 * GIB)
    waits(ledger.ask("run/2/a/1", Claim(1.0, GIB)))


def test_a_driver_that_stops_answering_gives_nothing_away(ledger: Ledger, fake: Fake) -> None:
    share = Claim(0.5, 0, 1.0, 10 * GIB)
    first = leased(ledger.ask("run/1/a/1", share))
    fake.capacity = replace(fake.capacity, devices=())
    until(lambda: not ledger._sample().fresh(0.5, True), "the measurement is old")
    assert "free: 0 MiB of 100.0 GiB" in waits(ledger.ask("run/2/a/1", share)).why
    assert [one.devices for one in ledger.holdings().leases] == [("GPU-0",)]
    ledger.release(first.id)


def test_many_that_wait_measure_once(ledger: Ledger, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boxplat.runs.ledger.FRESH", 60.0)
    leased(ledger.ask("run/0/a/1", Claim(2.0)))
    for number in range(1, 9):
        waits(ledger.ask(f"run/{number}/a/1", Claim(2.0)))
    assert fake.measured == 1


def machine(monkeypatch: pytest.MonkeyPatch, **settings: float) -> Machine:
    """This machine's processes on one with eight GiB, of which five are free."""
    monkeypatch.setattr(Limits, "memory", lambda self: Memory(8 * GIB, 5 * GIB))
    return Machine(ComputeConfig(reserve_mib=0, **settings))  # type: ignore[arg-type]


def test_a_foreign_process_is_counted_and_never_touched(
    state: StateStore, child: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same process once without a lease and once with one: the difference is what it has."""
    stranger = child("held = bytearray(300 * 2**20)")
    gauge = machine(monkeypatch)
    without = gauge.measure((), False).capacity
    assert without.foreign == 3 * GIB and without.memory == 8 * GIB
    with_one = gauge.measure([Lease(1, "run/1/a/1", Claim(), (), stranger.pid, 0.0)], False)
    used = with_one.used[1][0]
    assert 300 * 2**20 <= used < 400 * 2**20 and with_one.capacity.foreign == 3 * GIB - used
    waits(Ledger(state.database, gauge).ask("run/2/a/1", Claim(1.0, 6 * GIB)))
    assert processes.alive(stranger.pid, processes.start_ticks(stranger.pid))


def test_a_limit_of_the_settings_leaves_the_rest_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three GiB are others': they have them of what is not ours to claim, until they have more."""
    assert machine(monkeypatch, memory_mib=5 * 1024).measure((), False).capacity.foreign == 0
    assert machine(monkeypatch, memory_mib=6 * 1024).measure((), False).capacity.foreign == GIB


def test_more_than_was_asked_for_is_told_once_and_stopped_by_policy(
    ledger: Ledger, fake: Fake, state: StateStore, project: Path, child: Callable[..., subprocess.Popen[bytes]]
) -> None:
    greedy, modest, learnt = child(), child(), child()
    for number, process in enumerate((greedy, modest, learnt), 1):
        claim = Claim(0.5, GIB, asked=process is not learnt)
        lease = leased(ledger.ask(f"run/{number}/train/1", claim, pid=process.pid))
        fake.used[lease.id] = (GIB if process is modest else 2 * GIB, 0)
    paths = Paths(project)
    paths.run_dir(1).mkdir(parents=True)
    until(lambda: not ledger._sample().fresh(0.5, False), "the measurement is old")
    Watch(state.database, paths, ledger, "report").tick()
    assert all(process.poll() is None for process in (greedy, modest, learnt))
    Watch(state.database, paths, ledger, "stop").tick()
    assert greedy.wait(PATIENCE) == -signal.SIGTERM
    assert modest.poll() is None and learnt.poll() is None
    told = [event for event in state.events.all() if event.kind == "lease.overuse"]
    assert [(event.subject, event.data["used"]) for event in told] == [("run/1/train/1", 2 * GIB)]
    assert "has 2.0 GiB of memory and asked for 1.0 GiB: it is stopped" in paths.run_log(1).read_text()
