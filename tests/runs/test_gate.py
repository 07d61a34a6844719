"""The gate of a task, in processes of its own: who holds what, for how long, and who is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.claims import Claim, Lease, Priority
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import spool
from boxplat.runs.gate import NO_RETRY
from boxplat.runs.ledger import Ledger
from tests.runs.conftest import until

HEAD = "import os, sys, time\nfrom boxplat.runs.gate import hold\n"
HOLDS = "hold()\nprint('holds', flush=True)\nsys.stdin.readline()\n"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    (tmp_path / "boxplat.toml").write_text("")
    store = StateStore.open(Paths(tmp_path))
    yield store
    store.close()


@pytest.fixture
def run(state: StateStore) -> Run:
    return state.runs.add("f.py", "F", {})


@pytest.fixture
def start(tmp_path: Path, state: StateStore, run: Run) -> Iterator[Start]:
    """Start a task with a claim; it ends when its standard input does."""
    started: list[subprocess.Popen[str]] = []

    def begin(task: str, body: str = HOLDS, **asked: Any) -> subprocess.Popen[str]:
        claim = {"run": "1", "step": "train", "task": task, "attempt": 0, "asked": asked, "learnt": {}}
        env = {
            **os.environ,
            "BOXPLAT_COMPUTE_CORES": "2",
            "BOXPLAT_COMPUTE_MEMORY_MIB": "1000",
            "BOXPLAT_PROJECT": str(tmp_path),
            "BOXPLAT_RUN_ID": str(run.id),
            "BOXPLAT_SPOOL": str(tmp_path / "spool"),
            "BOXPLAT_CLAIM": json.dumps(claim),
        }
        pipe = subprocess.PIPE
        argv = [sys.executable, "-c", HEAD + body]
        started.append(subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def leases(state: StateStore) -> list[str]:
    return [lease.owner for lease in Ledger(state.database).holdings().leases]


def waits(tmp_path: Path) -> list[str]:
    records = spool.Tail(tmp_path / "spool").read()
    return [record["why"] for record in records if record["kind"] == "wait"]


def test_a_task_waits_says_so_and_goes_on_when_the_one_before_it_is_killed(
    start: Start, state: StateStore, tmp_path: Path
) -> None:
    first = start("1", memory=800)
    assert first.stdout is not None
    assert first.stdout.readline() == "holds\n"
    second = start("2", memory=800)
    until(lambda: waits(tmp_path), "the second task waits")
    assert "run/1/train/1 has 763 MiB" in waits(tmp_path)[0]
    assert leases(state) == ["run/1/train/1"]
    first.send_signal(signal.SIGKILL)
    assert second.stdout is not None
    assert second.stdout.readline() == "holds\n"
    assert leases(state) == ["run/1/train/2"]
    second.communicate("\n")
    assert leases(state) == []
    # Given back by the one that ended, and found to be lost only of the one that was killed.
    lost = [event.subject for event in state.events.all() if event.kind == "lease.lost"]
    assert lost == ["run/1/train/1"]


def test_a_task_that_waits_ends_at_once_when_it_is_told_to(start: Start, state: StateStore, tmp_path: Path) -> None:
    holder = Ledger(state.database).ask("service/delay@1", Claim(0, 900 * 2**20, priority=Priority.SERVING))
    assert isinstance(holder, Lease)
    task = start("1", memory=800)
    until(lambda: waits(tmp_path), "the task waits")
    task.terminate()
    assert task.wait(60) == -signal.SIGTERM
    assert Ledger(state.database).holdings().waiting == ()


def test_a_held_run_gets_no_lease_until_it_is_released(
    start: Start, state: StateStore, run: Run, tmp_path: Path
) -> None:
    state.queue.hold(run.id, True, "test")
    task = start("1")
    until(lambda: waits(tmp_path), "the task waits")
    assert f"box queue release {run.id}" in waits(tmp_path)[0]
    assert leases(state) == []
    state.queue.hold(run.id, False, "test")
    assert task.stdout is not None
    assert task.stdout.readline() == "holds\n"


def test_what_a_task_starts_runs_within_its_lease_and_a_fork_does_not_give_it_back(
    start: Start, state: StateStore
) -> None:
    body = (
        "hold()\nos.environ['BOXPLAT_CLAIM'] = '{}'\nhold()\n"
        "if os.fork() == 0: sys.exit()\nos.wait()\nprint('holds', flush=True)\nsys.stdin.readline()\n"
    )
    task = start("1", body, memory=900)
    assert task.stdout is not None
    assert task.stdout.readline() == "holds\n"
    assert leases(state) == ["run/1/train/1"]


def test_a_claim_that_never_fits_ends_the_task_in_the_words_of_the_refusal_and_without_retry(
    start: Start, tmp_path: Path
) -> None:
    task = start("1", memory=2000)
    _, said = task.communicate(timeout=180)
    assert task.returncode == NO_RETRY
    assert "asks for 1.9 GiB of memory; at most 1000 MiB can be claimed here" in said
    assert "fix:" in said
    error = next(record for record in spool.Tail(tmp_path / "spool").read() if record["kind"] == "error")
    assert error["final"]


def test_what_was_only_learnt_is_cut_to_a_smaller_machine(start: Start, state: StateStore) -> None:
    body = "import json\nclaim = json.loads(os.environ['BOXPLAT_CLAIM'])\nclaim['learnt'] = {'memory': 2**40}\n"
    task = start("1", body + "os.environ['BOXPLAT_CLAIM'] = json.dumps(claim)\n" + HOLDS)
    assert task.stdout is not None
    assert task.stdout.readline() == "holds\n"
    assert Ledger(state.database).holdings().leases[0].claim.memory == 1000 * 2**20


GPUS = """
from boxplat.core.claims import Capacity, Device
from boxplat.runs import gate
from boxplat.runs.capacity import Reading

class Fake:
    def quick(self, devices=None):
        return Capacity(2, 2**30, tuple(Device(f"GPU-{number}", "fake", 8 * 2**30) for number in (7, 8)))

    def measure(self, leases, gpus):
        return Reading(self.quick(), {lease.id: (0, 0) for lease in leases})

gate._machine = Fake
hold()
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.readline()
"""


def test_a_task_sees_the_devices_of_its_lease_and_two_share_one_by_its_memory(start: Start) -> None:
    tasks = [
        start("1", GPUS, vram="3Gi", cpu=0.1, memory=1),
        start("2", GPUS, vram="5Gi", cpu=0.1, memory=1),
        start("3", GPUS, gpu=1, cpu=0.1, memory=1),
        start("4", GPUS, cpu=0.1, memory=1),
    ]
    seen = []
    for task in tasks:
        assert task.stdout is not None
        seen.append(task.stdout.readline().strip())
    assert seen[0] == seen[1] != seen[2]
    assert {*seen[:3]} == {"GPU-7", "GPU-8"}
    assert seen[3] == "None", "what asks for no device sees what it saw before"


def test_a_task_without_a_claim_asks_nobody(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("BOXPLAT")}
    done = subprocess.run([sys.executable, "-c", HEAD + "hold()"], env=env, cwd=tmp_path, check=True)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
