"""Runs that wait their turn in a real box: over a machine made small, through a hold, a cancellation and kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from boxplat.core import processes
from boxplat.core.claims import Claim, Lease, Priority
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, RunState, Task
from boxplat.core.paths import Paths
from boxplat.core.profile import Profile
from boxplat.core.state import StateStore
from boxplat.runs import start
from boxplat.runs.control import queue
from boxplat.runs.ledger import Ledger
from boxplat.runs.queue import Place
from boxplat.supervisor.lock import holder
from tests.conftest import run_box

pytestmark = pytest.mark.integration
PATIENCE = 240.0
MIB = 2**20

# Each task leaves one line: who began, when, and who ended.
FLOW = """
import os
import time
from metaflow import FlowSpec, Parameter, resources, step

def note(flow, word):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{word} {os.environ['BOXPLAT_RUN_ID']} {flow._current_step} {time.time()}\\n")

class Nap(FlowSpec):
    until = Parameter("until", default="")

    @resources(memory=MEMORY)
    @step
    def start(self):
        note(self, "begin")
        while self.until and not os.path.exists(self.until):
            time.sleep(0.05)
        note(self, "end")
        self.next(self.end)

    @resources(memory=MEMORY)
    @step
    def end(self):
        note(self, "begin")

if __name__ == "__main__":
    Nap()
"""
RUN_HERE = """
import os
from pathlib import Path
from boxplat.core.config import load
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.lifecycle import run_here
paths = Paths(Path(PROJECT))
run_here(paths, load(paths.config, os.environ), StateStore.open(paths))
"""


class Rig:
    """A box of 1000 MiB without a tracking server, and flows that claim what they are told to."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = Paths(root)
        self.state = StateStore.open(self.paths)
        self.notes = root / "notes"
        self.supervisors: list[subprocess.Popen[bytes]] = []
        self.bystanders: list[subprocess.Popen[bytes]] = []
        for name, value in {"MEMORY_MIB": "1000", "CORES": "2"}.items():
            monkeypatch.setenv(f"BOXPLAT_COMPUTE_{name}", value)
        monkeypatch.setenv("NOTES", str(self.notes))

    def flow(self, memory: int) -> str:
        """Write the flow for so many MiB; returns its file."""
        path = self.paths.root / "flows" / f"nap{memory}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FLOW.replace("MEMORY", repr(round(memory * MIB / 1e6, 3))))
        return str(path)

    def queue(self, memory: int, until: Path | None = None, **options: Any) -> Run:
        params = {"until": str(until)} if until else {}
        return start(self.state, self.paths, self.config, self.flow(memory), params, options, "test")

    @property
    def config(self) -> Config:
        from boxplat.core.config import load

        return load(self.paths.config, os.environ)

    def start(self) -> None:
        self.state.meta.set("box.wanted", "up")
        program = RUN_HERE.replace("PROJECT", repr(str(self.paths.root)))
        self.supervisors.append(subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL))
        until(lambda: (there := holder(self.paths)) is not None and there.pid == self.supervisors[-1].pid)

    def bystander(self) -> int:
        """A process that does nothing but be there, until the end of the test; its pid."""
        self.bystanders.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return self.bystanders[-1].pid

    def kill_supervisor(self) -> None:
        self.supervisors[-1].send_signal(signal.SIGKILL)
        self.supervisors[-1].wait()

    def kill_everything(self) -> None:
        """What a power cut leaves: the files."""
        self.kill_supervisor()

        def gone() -> bool:
            # Some end with others, and a process that was being started is found only later.
            left = processes.marked(self.paths.state)
            processes.signal_all(left, signal.SIGKILL)
            return left == []

        until(gone)

    def run(self, run: Run) -> Run:
        return self.state.runs.get(run.id)

    def is_over(self, run: Run, state: RunState = RunState.SUCCEEDED) -> Run:
        until(lambda: self.run(run).state.over, lambda: f"{self.run(run)}\n{self.shown()}")
        assert self.run(run).state is state, self.paths.run_log(run.id).read_text()
        return self.run(run)

    def shown(self) -> tuple[Place, ...]:
        return queue(self.state, self.paths, self.config).places

    def place(self, run: Run) -> Place:
        return next(place for place in self.shown() if place.run == run.id)

    def task(self, run: Run, step: str) -> Task | None:
        return next((task for task in self.state.runs.tasks(run.id) if task.step == step), None)

    def noted(self, word: str, run: Run) -> list[float]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [float(line.split()[-1]) for line in lines if line.startswith(f"{word} {run.id} ")]

    def down(self) -> None:
        run_box(self.paths.root, "down")
        while self.bystanders:
            self.bystanders.pop().communicate(b"\n", 90)
        for supervisor in self.supervisors:
            supervisor.wait(90)


def until(true: Callable[[], object], say: Callable[[], object] = lambda: "", seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s. {say()}"
        pause.wait(0.05)


@pytest.fixture
def rig(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(project, monkeypatch)
    yield made
    made.down()
    assert processes.marked(made.paths.state) == [], "a process of the box was left"


def test_of_two_flows_that_need_most_of_the_memory_the_second_waits_beside_an_endpoint(
    rig: Rig, tmp_path: Path
) -> None:
    """Must show 2: with a reason and an estimate, and then it runs."""
    serves = Claim(cores=0, memory=200 * MIB, priority=Priority.SERVING)
    endpoint = Ledger(rig.state.database).ask("service/delay@1", serves, pid=rig.bystander())
    assert isinstance(endpoint, Lease)
    before = rig.state.runs.add("flows/nap600.py", "Nap", {})
    rig.state.profiles.put([Profile(before.id, "start", "1", 0, True, time.time(), 600.0, memory=MIB)])
    rig.state.runs.update(before.id, state=RunState.SUCCEEDED, ended=time.time())
    rig.start()
    goes_on = tmp_path / "go"
    first, second = rig.queue(600, goes_on), rig.queue(600)
    until(lambda: rig.noted("begin", first), rig.shown)
    owners = {place.owner: place for place in rig.shown()}
    assert owners["service/delay@1"].claim.memory == 200 * MIB
    assert owners[f"run/{first.id}/start/1"].state == "running"
    waits = rig.place(second)
    assert waits.state == "queued"
    assert "needs 600 MiB of memory" in waits.why
    assert f"run/{first.id}/start/1 has 600 MiB" in waits.why
    assert waits.estimate is not None
    assert 0 < waits.estimate - time.time() < 610
    told = run_box(rig.paths.root, "queue")
    assert "needs 600 MiB" in told.stdout and "starts in" in told.stdout
    rows = json.loads(run_box(rig.paths.root, "queue", "--json").stdout)["queue"]["places"]
    assert {row["run"]: row["state"] for row in rows if row["run"]}[second.id] == "queued"
    assert not rig.noted("begin", second)
    goes_on.touch()
    rig.is_over(first)
    rig.is_over(second)
    assert rig.noted("begin", second)[0] > rig.noted("end", first)[0]


def test_a_step_that_does_not_fit_waits_at_its_gate_and_a_held_run_stops_there(rig: Rig, tmp_path: Path) -> None:
    goes_on, ends = tmp_path / "go", tmp_path / "end"
    rig.start()
    held = rig.queue(300, goes_on, priority="batch")
    until(lambda: rig.noted("begin", held))
    assert run_box(rig.paths.root, "queue", "hold", str(held.id)).returncode == 0
    goes_on.touch()
    until(lambda: (task := rig.task(held, "end")) is not None and task.state is RunState.QUEUED, rig.shown)
    task = rig.task(held, "end")
    assert task is not None
    assert f"box queue release {held.id}" in task.waits
    # Its launcher writes the task's row first, then its log.
    until(lambda: "waits: its run is held" in rig.paths.run_log(held.id).read_text())
    assert rig.place(held).state == "held"
    big = rig.queue(900, ends)
    until(lambda: rig.noted("begin", big))
    rig.state.queue.hold(held.id, False, "test")
    until(lambda: rig.place(held).state == "waiting", rig.shown)
    assert f"run/{big.id}/start/1 has 900 MiB" in rig.place(held).why
    assert len(rig.noted("begin", held)) == 1
    ends.touch()
    rig.is_over(big)
    rig.is_over(held)
    done = rig.task(held, "end")
    assert done is not None
    assert (done.state, done.waits) == (RunState.SUCCEEDED, "")


def test_a_run_that_waits_at_its_gate_is_cancelled_at_once(rig: Rig, tmp_path: Path) -> None:
    rig.start()
    goes_on = tmp_path / "go"
    waits = rig.queue(300, goes_on)
    until(lambda: rig.noted("begin", waits))
    rig.state.queue.hold(waits.id, True, "test")
    goes_on.touch()
    until(lambda: rig.task(waits, "end") is not None)
    assert run_box(rig.paths.root, "queue", "cancel", str(waits.id)).returncode == 0
    asked = time.monotonic()
    rig.is_over(waits, RunState.CANCELLED)
    assert time.monotonic() - asked < 30
    until(lambda: rig.shown() == (), rig.shown)


def test_what_never_fits_is_refused_before_it_is_queued_and_in_its_task(rig: Rig) -> None:
    rig.start()
    with pytest.raises(BoxError) as caught:
        rig.queue(1500)
    assert caught.value.code is ExitCode.NO_COMPUTE
    assert "step start of" in caught.value.what
    assert "at most 1000 MiB can be claimed" in caught.value.what
    done = run_box(rig.paths.root, "run", "flows/nap1500.py")
    assert done.returncode == ExitCode.NO_COMPUTE
    assert "fix: ask for less" in done.stderr
    assert rig.state.runs.all() == []
    path = rig.paths.root / "flows" / "nap1500.py"
    path.write_text(path.read_text().replace("class Nap", "MUCH = 1572.864\n\nclass Nap").replace("=1572.864", "=MUCH"))
    run = start(rig.state, rig.paths, rig.config, str(path), {}, {}, "test")
    failed = rig.is_over(run, RunState.FAILED)
    assert "asks for 1.5 GiB of memory; at most 1000 MiB can be claimed here" in (failed.error or "")
    assert not rig.noted("begin", run)


def test_twenty_runs_all_end_and_none_twice_though_the_supervisor_is_killed_in_between(rig: Rig) -> None:
    """Must show 6."""
    rig.start()
    runs = [rig.queue(150, priority="batch" if number % 3 else "interactive") for number in range(20)]

    def over() -> int:
        return sum(rig.run(run).state.over for run in runs)

    for done in (2, 7, 12):
        until(partial(lambda most: over() >= most, done), rig.shown)
        rig.kill_supervisor()
        rig.start()
    for run in runs:
        rig.is_over(run)
    lines = [line.split()[:3] for line in rig.notes.read_text().splitlines()]
    for run in runs:
        assert sorted(line for line in lines if line[1] == str(run.id)) == [
            ["begin", str(run.id), "end"],
            ["begin", str(run.id), "start"],
            ["end", str(run.id), "start"],
        ]


def test_what_is_queued_when_the_box_goes_down_runs_when_it_is_up_again(rig: Rig, tmp_path: Path) -> None:
    rig.start()
    ran, queued = rig.queue(600, tmp_path / "never"), rig.queue(600)
    until(lambda: rig.noted("begin", ran))
    rig.down()
    stopped = rig.run(ran)
    assert stopped.state is RunState.CANCELLED
    assert f"--resume {ran.id}" in (stopped.error or "")
    assert rig.run(queued).state is RunState.QUEUED
    assert "box up" in rig.place(queued).why
    rig.start()
    rig.is_over(queued)


def test_after_a_power_cut_what_was_queued_runs_and_what_ran_is_resumed(rig: Rig, tmp_path: Path) -> None:
    rig.start()
    goes_on = tmp_path / "go"
    ran, queued = rig.queue(600, goes_on), rig.queue(600)
    until(lambda: rig.noted("begin", ran))
    until(lambda: rig.run(ran).pathspec)
    rig.kill_everything()
    assert rig.run(queued).state is RunState.QUEUED
    goes_on.touch()
    rig.start()
    failed = rig.is_over(ran, RunState.FAILED)
    assert "cut off" in (failed.error or "")
    rig.is_over(queued)
    again = next(run for run in rig.state.runs.all() if run.options.get("resume") == ran.id)
    assert f"run {again.id}" in (failed.error or "")
    rig.is_over(again)
