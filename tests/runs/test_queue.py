"""The line of runs: whose turn it is, and what the others are told."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.claims import Capacity, Claim, Holdings, Lease, Priority, Waiting
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.queue import line, turns

GB = 10**9
MACHINE = Capacity(cores=4, memory=10 * GB)


def queued(number: int, memory: int = 1000, **fields: Any) -> Run:
    first = {"asked": {"memory": memory}}
    run = Run(number, "flows/f.py", "F", RunState.QUEUED, {}, time.time(), options={"first": first}, position=number)
    return replace(run, **fields)


def running(number: int, pathspec: str | None = "F/1", **fields: Any) -> Run:
    return replace(queued(number), state=RunState.RUNNING, pathspec=pathspec, started=time.time(), **fields)


def lease(run: int, memory: int, seconds: float | None = None, priority: Priority = Priority.INTERACTIVE) -> Lease:
    claim = Claim(cores=1, memory=memory, priority=priority, expected_seconds=seconds)
    return Lease(run, f"run/{run}/start/1", claim, (), 1, time.time())


def goes(active: list[Run], *leases: Lease, waiting: tuple[Waiting, ...] = (), most: int = 10) -> list[int]:
    return [turn.run.id for turn in turns(active, Holdings(MACHINE, leases, waiting), most) if turn.go]


def test_runs_start_in_line_while_their_first_steps_fit_together() -> None:
    assert goes([queued(1, 6000), queued(2, 3000), queued(3, 3000)]) == [1, 2]


def test_no_more_than_so_many_at_once_and_those_under_way_count() -> None:
    assert goes([running(1), queued(2), queued(3)], lease(1, GB), most=2) == [2]
    told = turns([running(1), queued(2)], Holdings(MACHINE, (lease(1, GB),), ()), 1)
    assert "max_runs" in told[0].why


def test_a_run_on_the_way_to_its_first_task_has_its_room_kept() -> None:
    begun = running(1, pathspec=None, options={"first": {"asked": {"memory": 6000}}})
    assert goes([begun, queued(2, 6000), queued(3, 3000)]) == [3]
    assert goes([begun, queued(2, 6000)], lease(1, GB)) == [2]


def test_what_was_learnt_or_assumed_beyond_the_machine_does_not_wait_for_ever() -> None:
    learnt = queued(1, options={"first": {"asked": {}, "learnt": {"memory": 11 * GB}}})
    assert goes([learnt]) == [1]
    told = turns([learnt], Holdings(MACHINE, (lease(2, GB),), ()), 10)
    assert "run/2/start/1 has" in told[0].why
    half = Holdings(replace(MACHINE, cores=0.5), (), ())
    assert turns([queued(1, options={})], half, 10)[0].go


def test_a_run_that_no_longer_fits_the_machine_goes_to_be_refused() -> None:
    assert goes([queued(1, 11_000), queued(2, 9_000)]) == [1, 2]


def test_held_runs_start_never_and_block_nobody() -> None:
    told = turns([queued(1, held=True), queued(2)], Holdings(MACHINE, (), ()), 10)
    assert [turn.go for turn in told] == [False, True]
    assert "box queue release 1" in told[0].why


def test_the_next_step_of_a_running_run_goes_before_a_later_run() -> None:
    next_step = Waiting(7, "run/1/train/2", Claim(1, 9 * GB, priority=Priority.INTERACTIVE), time.time(), 1, 1.0)
    assert goes([running(1), queued(2, 4000)], lease(3, 2 * GB), waiting=(next_step,)) == []


def test_a_batch_run_waits_behind_a_serving_claim_and_says_so() -> None:
    endpoint = Waiting(7, "service/delay@7", Claim(0, 9 * GB, priority=Priority.SERVING), time.time(), 1)
    told = turns([queued(2, 4000, priority="batch")], Holdings(MACHINE, (lease(1, 2 * GB),), (endpoint,)), 10)
    assert not told[0].go
    assert "service/delay@7" in told[0].why


def test_a_run_that_waits_is_told_when_it_starts() -> None:
    told = turns([running(1), queued(2, 6000)], Holdings(MACHINE, (lease(1, 6 * GB, 30.0),), ()), 10)
    assert "run/1/start/1 has" in told[0].why
    assert told[0].estimate == pytest.approx(time.time() + 30, abs=5)


def test_everything_has_one_row() -> None:
    waits = Waiting(7, "run/2/train/2", Claim(1, 9 * GB, priority=Priority.BATCH), time.time(), 1, 2.0, "needs more")
    runs = [
        running(1),
        running(2),
        running(3, held=True),
        running(4, None),
        queued(5),
        queued(6, held=True),
        running(7),
    ]
    shown = line(runs, Holdings(MACHINE, (lease(1, GB),), (waits,)), 10, True)
    assert [(place.owner, place.state) for place in shown.places] == [
        ("run/1/start/1", "running"),
        ("run/2/train/2", "waiting"),
        ("run/4", "starting"),
        ("run/3", "held"),
        ("run/7", "between"),
        ("run/5", "queued"),
        ("run/6", "held"),
    ]
    down = line(runs, Holdings(MACHINE, (), ()), 10, False)
    assert "box up" in next(place.why for place in down.places if place.owner == "run/5")


# -- the places themselves -----------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> StateStore:
    (tmp_path / "boxplat.toml").write_text("")
    return StateStore.open(Paths(tmp_path))


def order(state: StateStore) -> list[int]:
    return [run.id for run in state.runs.active()]


def test_a_run_moves_among_those_of_its_priority(state: StateStore) -> None:
    for priority in ("batch", "interactive", "batch", "interactive", "batch"):
        state.runs.add("f.py", "F", {}, priority=priority)
    assert order(state) == [2, 4, 1, 3, 5]
    state.queue.move(5, None, False, "test")
    assert order(state) == [2, 4, 5, 1, 3]
    state.queue.move(5, None, True, "test")
    assert order(state) == [2, 4, 1, 3, 5]
    for _ in range(100):
        state.queue.move(5, 3, False, "test")
        state.queue.move(3, 5, False, "test")
    assert order(state) == [2, 4, 1, 3, 5]
    new = state.runs.add("f.py", "F", {}, priority="batch")
    assert order(state)[-1] == new.id
    with pytest.raises(BoxError, match="cannot go before"):
        state.queue.move(1, 2, False, "test")
    with pytest.raises(BoxError) as caught:
        state.queue.move(99, None, False, "test")
    assert caught.value.code is ExitCode.NOT_FOUND


def test_holding_and_releasing_are_events_and_only_of_runs_that_are_not_over(state: StateStore) -> None:
    run = state.runs.add("f.py", "F", {})
    assert state.queue.hold(run.id, True, "test")
    assert not state.queue.hold(run.id, True, "test")
    ticket = state.queue.ticket(run.id)
    assert ticket is not None
    assert ticket.held
    assert state.queue.hold(run.id, False, "test")
    assert [event.kind for event in state.events.all(subject=f"run/{run.id}")] == [
        "run.queued",
        "run.held",
        "run.released",
    ]
    state.runs.update(run.id, state="failed", ended=time.time())
    with pytest.raises(BoxError, match="over already"):
        state.queue.hold(run.id, True, "test")
