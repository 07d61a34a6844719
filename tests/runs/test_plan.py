"""Who may start: over wild machines, leases and claims, against sums written down again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.claims import Capacity, Claim, Device, Lease, Priority, Waiting
from boxplat.runs.plan import order, plan
from boxplat.runs.words import never

GIB = 2**30
NOW = 1_000_000.0

claims = st.builds(
    Claim,
    cores=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]),
    memory=st.sampled_from([0, GIB, 3 * GIB, 8 * GIB]),
    gpus=st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0]),
    vram=st.sampled_from([0, 0, 4 * GIB, 12 * GIB]),
    priority=st.sampled_from(list(Priority)),
    expected_seconds=st.sampled_from([None, 5.0, 60.0, 600.0]),
)


@st.composite
def machines(draw: st.DrawFn) -> Capacity:
    count = draw(st.integers(0, 3))
    devices = tuple(
        Device(f"GPU-{number}", "H200", 24 * GIB, draw(st.sampled_from([0, GIB, 10 * GIB])), draw(st.booleans()))
        for number in range(count)
    )
    return Capacity(draw(st.sampled_from([1.0, 2.0, 4.0])), 16 * GIB, devices, draw(st.sampled_from([0, 2 * GIB])))


def line(wanted: Sequence[Claim]) -> list[Waiting]:
    return [Waiting(n, f"run/{n}/step/1", claim, NOW, 100 + n) for n, claim in enumerate(wanted, 1)]


def lease(number: int, claim: Claim, devices: tuple[str, ...], since: float = NOW) -> Lease:
    return Lease(number, f"run/{number}/step/1", claim, devices, 100 + number, since)


def fits(capacity: Capacity, leases: Sequence[Lease]) -> bool:
    """Whether all that is leased is there: the oracle, without the plan's own sums."""
    if sum(one.claim.cores for one in leases) > capacity.cores + 1e-6:
        return False
    if sum(max(one.claim.memory, one.used) for one in leases) > capacity.memory - capacity.foreign:
        return False
    for device in capacity.devices:
        there = [one for one in leases if device.uuid in one.devices]
        if any(one.claim.gpus >= 1 and not one.claim.vram for one in there):
            if len(there) > 1:
                return False
        elif sum(one.claim.vram or math.ceil(one.claim.gpus * device.memory) for one in there) > (
            device.memory - device.foreign
        ):
            return False
    return all(len(set(one.devices)) == math.ceil(one.claim.gpus) for one in leases)


def started(capacity: Capacity, wanted: Sequence[Claim]) -> tuple[list[Lease], list[Waiting]]:
    """What runs, and what waits, after the first look at an empty machine."""
    leases, waiting = [], []
    for verdict in plan(capacity, (), line(wanted), NOW):
        if verdict.devices is None:
            waiting.append(verdict.waiting)
        else:
            leases.append(lease(verdict.waiting.id, verdict.waiting.claim, verdict.devices))
    return leases, waiting


@given(machines(), st.lists(claims, max_size=12))
@settings(max_examples=300, deadline=None)
def test_what_may_start_fits_all_together(capacity: Capacity, wanted: list[Claim]) -> None:
    leases, _ = started(capacity, wanted)
    assert fits(capacity, leases)


@given(machines(), st.lists(claims, max_size=10), st.data())
@settings(max_examples=200, deadline=None)
def test_everything_that_can_run_does_in_the_end(capacity: Capacity, wanted: list[Claim], data: st.DataObject) -> None:
    """Leases end in any order, later than they were thought to or at once; the clock may go back as well."""
    capacity = replace(capacity, foreign=0, devices=tuple(replace(one, foreign=0) for one in capacity.devices))
    possible = [claim for claim in wanted if not never(capacity, claim)]
    waiting, leases, ran, now = line(possible), list[Lease](), set[int](), NOW
    for _ in range(3 * len(possible) + 1):
        for verdict in plan(capacity, leases, waiting, now):
            if verdict.devices is not None:
                leases.append(lease(verdict.waiting.id, verdict.waiting.claim, verdict.devices, now))
                ran.add(verdict.waiting.id)
        waiting = [row for row in waiting if row.id not in ran]
        assert fits(capacity, leases) and (leases or not waiting), "an empty machine starts something"
        if leases:
            leases.pop(data.draw(st.integers(0, len(leases) - 1)))
        now += data.draw(st.sampled_from([-3600.0, 1.0, 1000.0]))
    assert ran == {row.id for row in line(possible)}


@given(machines(), st.lists(claims, min_size=2, max_size=8))
@settings(max_examples=300, deadline=None)
def test_nobody_who_passes_delays_the_first_that_is_blocked(capacity: Capacity, wanted: list[Claim]) -> None:
    """With times that are kept to: the first blocked one starts no later than without those behind it."""
    wanted = [replace(claim, expected_seconds=claim.expected_seconds or 30.0) for claim in wanted]
    first = next((row for row in started(capacity, wanted)[1] if not never(empty(capacity), row.claim)), None)
    if first is None:
        return
    before = order(line(wanted))[: order(line(wanted)).index(first) + 1]
    alone = begins(capacity, before, first.id)
    assert begins(capacity, line(wanted), first.id) <= alone


def begins(capacity: Capacity, waiting: Sequence[Waiting], wanted: int) -> float:
    """When a claim starts if all of these are there from the beginning and run as long as expected."""
    now, leases, waiting = NOW, list[Lease](), list(waiting)
    while True:
        for verdict in plan(capacity, leases, waiting, now):
            if verdict.devices is not None:
                leases.append(lease(verdict.waiting.id, verdict.waiting.claim, verdict.devices, now))
                waiting = [row for row in waiting if row.id != verdict.waiting.id]
                if verdict.waiting.id == wanted:
                    return now
        if not leases:
            return math.inf
        now = min(one.since + (one.claim.expected_seconds or 0.0) for one in leases)
        leases = [one for one in leases if one.since + (one.claim.expected_seconds or 0.0) > now]


def empty(capacity: Capacity) -> Capacity:
    """Without what others have."""
    return replace(capacity, memory=capacity.memory - capacity.foreign)


TWO_CORES = Capacity(2.0, 10 * GIB)


def test_classes_then_places_then_the_order_of_arrival() -> None:
    def row(number: int, priority: Priority, position: float) -> Waiting:
        return Waiting(number, str(number), Claim(1.0, priority=priority), NOW - number, 9, position)

    rows = [
        row(1, Priority.BATCH, 1.0),
        row(2, Priority.SERVING, 9.0),
        row(3, Priority.INTERACTIVE, 5.0),
        row(4, Priority.INTERACTIVE, 2.0),
        row(5, Priority.INTERACTIVE, 5.0),
        row(-6, Priority.INTERACTIVE, 5.0),
    ]
    assert [one.id for one in order(rows)] == [2, 4, 3, 5, -6, 1]


def test_two_of_sixty_per_cent_and_an_endpoint() -> None:
    """The second waits with a reason and an estimate, and starts when the first has ended."""
    device = Device("GPU-0", "H200", 100 * GIB)
    capacity = Capacity(8.0, 64 * GIB, (device,))
    endpoint = lease(1, Claim(0.0, GIB, 1.0, 10 * GIB, Priority.SERVING), ("GPU-0",))
    share = Claim(1.0, GIB, 1.0, 60 * GIB, expected_seconds=120.0)
    first, second = plan(capacity, [endpoint], line([share, share]), NOW)
    assert first.devices == ("GPU-0",) and not second.go
    assert second.why.startswith("needs 60.0 GiB of device memory, free: 30.0 GiB of 100.0 GiB on H200")
    running = lease(2, share, ("GPU-0",))
    (later,) = plan(capacity, [endpoint, running], line([share])[:1], NOW + 20.0)
    assert later.estimate == NOW + 120.0 and "run/2/step/1 has 60.0 GiB" in later.why
    assert plan(capacity, [endpoint], line([share]), NOW + 121.0)[0].go


def test_a_stranger_on_the_device_and_in_memory_is_counted_and_named() -> None:
    capacity = Capacity(8.0, 10 * GIB, (Device("GPU-0", "H200", 100 * GIB, 50 * GIB),), 8 * GIB)
    memory, vram = plan(capacity, (), line([Claim(1.0, 6 * GIB), Claim(1.0, 0, 1.0, 60 * GIB)]), NOW)
    assert memory.why == "needs 6.0 GiB of memory, 2.0 GiB of 10.0 GiB are free; processes without a lease 8.0 GiB"
    assert vram.why.endswith("free: 50.0 GiB of 100.0 GiB on H200; processes without a lease 50.0 GiB")


def test_what_takes_more_than_it_claimed_counts_with_what_it_has() -> None:
    greedy = replace(lease(1, Claim(1.0, GIB), ()), used=9 * GIB)
    (verdict,) = plan(TWO_CORES, [greedy], line([Claim(1.0, 2 * GIB)]), NOW)
    assert not verdict.go and "run/1/step/1 has 9.0 GiB" in verdict.why


def test_a_short_one_passes_and_a_long_one_does_not() -> None:
    running = lease(1, Claim(1.0, expected_seconds=100.0), ())
    both, short, long = Claim(2.0), Claim(1.0, expected_seconds=60.0), Claim(1.0, expected_seconds=200.0)
    blocked, waits = plan(TWO_CORES, [running], line([both, long]), NOW)
    assert (blocked.estimate, waits.go) == (NOW + 100.0, False)
    assert waits.why == "would fit, but run/1/step/1 is before run/2/step/1 and would start later"
    assert plan(TWO_CORES, [running], line([both, short]), NOW)[1].go


def test_one_that_waits_for_a_stranger_keeps_nobody_waiting() -> None:
    capacity = Capacity(2.0, 10 * GIB, foreign=8 * GIB)
    blocked, small = plan(capacity, (), line([Claim(1.0, 5 * GIB), Claim(1.0, GIB)]), NOW)
    assert not blocked.go and blocked.estimate is None and small.go


def test_a_clock_that_was_set_back_makes_no_lease_longer() -> None:
    running = lease(1, Claim(2.0, expected_seconds=100.0), (), since=NOW + 86_400.0)
    (verdict,) = plan(TWO_CORES, [running], line([Claim(1.0)]), NOW)
    assert verdict.estimate == NOW + 100.0


def test_one_that_is_overdue_is_expected_soon() -> None:
    running = lease(1, Claim(2.0, expected_seconds=100.0), (), since=NOW - 5_000.0)
    (verdict,) = plan(TWO_CORES, [running], line([Claim(1.0)]), NOW)
    assert verdict.estimate == NOW + 10.0


def test_whole_devices_stay_free_for_those_that_want_them_whole() -> None:
    capacity = Capacity(8.0, 64 * GIB, (Device("GPU-0", "H200", 24 * GIB), Device("GPU-1", "H200", 24 * GIB)))
    small, other, whole = plan(
        capacity, (), line([Claim(1.0, 0, 1.0, 4 * GIB), Claim(1.0, 0, 0.5), Claim(1.0, 0, 1.0)]), NOW
    )
    assert small.devices == other.devices == ("GPU-0",) and whole.devices == ("GPU-1",)


def test_a_desktop_does_not_keep_a_device_from_being_claimed_whole_but_a_training_does() -> None:
    for foreign, go in ((GIB, True), (12 * GIB, False)):
        capacity = Capacity(8.0, 64 * GIB, (Device("GPU-0", "RTX", 24 * GIB, foreign),))
        assert plan(capacity, (), line([Claim(1.0, 0, 1.0)]), NOW)[0].go is go


def test_what_can_never_be_is_said_with_what_there_is() -> None:
    slices = tuple(Device(f"MIG-{number}", "H200 MIG 1g", 16 * GIB, 0, True) for number in range(7))
    capacity = Capacity(2.0, 10 * GIB, slices)
    assert never(capacity, Claim(3.0)) == "asks for 3 cores; at most 2 can be claimed here"
    assert never(capacity, Claim(1.0, 64 * GIB)) == "asks for 64.0 GiB of memory; at most 10.0 GiB can be claimed here"
    assert "a process can use one MIG slice" in never(capacity, Claim(1.0, 0, 2.0))
    assert "16.0 GiB are the most here" in never(capacity, Claim(1.0, 0, 1.0, 20 * GIB))
    assert never(Capacity(2.0, GIB), Claim(1.0, 0, 1.0)) == "asks for 1 GPU(s); there is none here"
    assert never(capacity, Claim(2.0, 10 * GIB, 1.0, 16 * GIB)) == ""
