"""Measured use against known use: processes, forks, killed ones, energy counters and a fake driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from boxplat.adapters.flows import EXTENSION
from boxplat.adapters.gpu_activity import Activities, Activity
from boxplat.core.config import RatesConfig
from boxplat.core.state import StateStore
from boxplat.runs import spool
from boxplat.runs.profiles.devices import GpuUse
from boxplat.runs.profiles.energy import CpuEnergy
from boxplat.runs.profiles.profiling import Profiling
from boxplat.runs.profiles.recommend import recommendations
from boxplat.runs.profiles.sample import Sampler
from tests.doctor.test_gpu import PATIENCE, FakeDriver, used

MIB, GIB = 2**20, 2**30
PLUGINS = EXTENSION / "metaflow_extensions" / "boxplat" / "plugins"

FORK = """
import gc, json, os, sys, time
sys.path.insert(0, sys.argv[1])
import usage
ballast = [str(number) * 20 for number in range(400_000)]
heavy = bytearray(b"x") * (50 * 2**20)
gc.freeze()

def nothing(): return None
def read_all():
    for one in ballast: one
def allocate(): return bytearray(b"y") * (300 * 2**20)
def again():
    for _ in range(20): held = bytearray(b"y") * (40 * 2**20)
    return held

for step in (nothing, read_all, allocate, again):
    reader, writer = os.pipe()
    if not os.fork():
        at_start = usage.resident()
        held = step()
        found = usage.used(at_start)
        maps = usage._table("/proc/self/smaps_rollup", 1024)
        found["private"] = maps["Private_Clean"] + maps["Private_Dirty"]
        os.write(writer, json.dumps(found).encode())
        os._exit(0)
    os.wait()
    print(os.read(reader, 10_000).decode())
"""

TREE = """
import os, sys
held = bytearray(b"x") * (100 * 2**20)
reader, writer = os.pipe()
for _ in range(3):
    if not os.fork():
        os.write(writer, b"x")
        sys.stdin.read()
        os._exit(0)
os.read(reader, 1), os.read(reader, 1), os.read(reader, 1)
print("ready", flush=True)
sys.stdin.read()
"""


def record(kind: str, pid: int, **fields: Any) -> dict[str, Any]:
    task = {"run": "1", "step": "fit", "task": "7", "attempt": 0}
    return {"kind": kind, "at": 1000.0, **task, "pid": pid, "stack": [], **fields}


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_forked_task_counts_what_it_touched_and_nothing_that_it_found() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(PLUGINS)], capture_output=True, text=True, check=True, timeout=180
    )
    nothing, read_all, allocate, again = map(json.loads, done.stdout.splitlines())
    for found in (nothing, read_all, allocate):
        # Reading an object writes its reference count: those pages are the task's own from then on.
        assert abs(found["peak"] - found["inherited"] - found["private"]) < 4 * MIB
    assert 295 * MIB < allocate["peak"] - allocate["inherited"] < 310 * MIB
    # Freed and taken again: 20 times 40 MiB were touched, two of them at once were held.
    assert 75 * MIB < again["peak"] - again["inherited"] < 90 * MIB


def test_what_children_share_with_their_task_counts_once() -> None:
    sampler = Sampler(1, 10.0)
    with running(TREE) as process:
        assert sampler.take([record("start", process.pid)]) == []
        sampler.look()
        (found,) = sampler.close()
    assert 100 * MIB < found.memory < 125 * MIB
    assert not found.ok and not found.exact


def test_every_task_with_children_is_looked_at_and_not_the_first_only() -> None:
    sampler = Sampler(1, 10.0)
    with running(TREE) as one, running(TREE) as other:
        sampler.take([record("start", one.pid), record("start", other.pid, task="8")])
        sampler.look()
        found = sampler.close()
    assert [100 * MIB < profile.memory < 125 * MIB for profile in found] == [True, True]


def test_a_killed_task_leaves_what_was_seen_of_it() -> None:
    sampler = Sampler(1, 10.0)
    with running("held = bytearray(b'x') * (80 * 2**20)\nprint('ready', flush=True)\ninput()") as process:
        sampler.take([record("start", process.pid, asked={"memory": 100})])
        sampler.look()
        process.kill()
        process.wait()
        sampler.look()
        (found,) = sampler.take([record("start", os.getpid(), attempt=1)])
    assert 80 * MIB < found.memory < 100 * MIB
    assert 0.0 < found.cpu_seconds < 5.0 and found.cpu_joules == pytest.approx(10 * found.cpu_seconds)
    assert (found.attempt, found.ok, found.exact, found.asked) == (0, False, False, {"memory": 10**8})
    assert [profile.attempt for profile in sampler.close()] == [1]


def test_a_task_whose_process_is_another_one_by_now_is_not_measured() -> None:
    sampler = Sampler(1, 10.0)
    with running("print('ready', flush=True)\ninput()") as process:
        sampler.take([record("start", process.pid)])
    sampler.take([record("start", 2**22 + 1, task="8"), record("start", 0, task="9")])
    sampler.look()
    assert [(profile.task, profile.memory) for profile in sampler.close()] == [("7", 0), ("8", 0), ("9", 0)]


def test_a_childs_peak_is_not_taken_for_its_parents_before_it_called_exec() -> None:
    sampler = Sampler(1, 10.0)
    told = {"peak": 300 * MIB, "inherited": 0, "children_peak": 300 * MIB, "cpu_seconds": 1.0}
    sampler.take([record("start", 0)])
    (same,) = sampler.take([record("end", 0, ok=True, profile=told)])
    sampler.take([record("start", 0)])
    (more,) = sampler.take([record("end", 0, ok=True, profile={**told, "children_peak": 700 * MIB})])
    assert (same.memory, more.memory) == (300 * MIB, 700 * MIB)


def test_a_spoilt_profile_in_the_spool_harms_nothing() -> None:
    sampler = Sampler(1, 10.0)
    for told in (None, [], "x", {"peak": "much", "cpu_seconds": -1, "vram": None}):
        sampler.take([record("start", 0, asked=7)])
        (found,) = sampler.take([record("end", 0, ok=True, profile=told)])
        assert (found.memory, found.cpu_seconds, found.ok) == (0, 0.0, True)


def test_rapl_counts_over_its_wrap_around(tmp_path: Path) -> None:
    package = tmp_path / "intel-rapl:0"
    for folder, energy in ((package, 990_000_000), (tmp_path / "intel-rapl:0:0", 5)):
        folder.mkdir()
        (folder / "energy_uj").write_text(str(energy))
        (folder / "max_energy_range_uj").write_text("1000000000")
    energy = CpuEnergy(10.0, tmp_path)
    assert energy.measured
    (package / "energy_uj").write_text("40000000")
    energy.look()
    assert energy.spent == pytest.approx(50.0)


def test_without_a_readable_counter_the_stated_power_counts(tmp_path: Path) -> None:
    energy = CpuEnergy(12.5, tmp_path)
    energy.look()
    assert not energy.measured and energy.per_cpu_second() == 12.5


def sample(pid: int, percent: int, at: int) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, smUtil=percent, timeStamp=at)


def activities(driver: FakeDriver) -> Activities:
    """Of a driver that answers, however busy this machine is."""
    made = Activities(lambda: driver)
    made._nvml._patience = PATIENCE
    return made


def test_activity_in_seconds_and_joules() -> None:
    driver = FakeDriver(
        nvmlDeviceGetTotalEnergyConsumption=250_000,
        nvmlDeviceGetComputeRunningProcesses=[used(7, GIB)],
        nvmlDeviceGetProcessUtilization=lambda handle, since: [sample(7, 40, 10), sample(7, 60, 20)],
    )
    reader = activities(driver)
    (found,) = reader.read()
    assert found == Activity("GPU-1", 250.0, 0.63, {7: GIB}, {7: 0.5})
    # The driver keeps a few seconds of samples: those that were seen do not count again.
    assert reader.read()[0].shares == {}


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NOT_FOUND])
def test_a_driver_that_tells_no_process_apart(code: int) -> None:
    failing = pynvml.NVMLError(code)
    driver = FakeDriver(nvmlDeviceGetTotalEnergyConsumption=failing, nvmlDeviceGetProcessUtilization=failing)
    (found,) = activities(driver).read()
    assert (found.joules, found.shares) == (None, None)


def gpu_use(*readings: Activity) -> dict[int, tuple[float, float]]:
    left = iter(readings)
    watch = GpuUse(lambda: (next(left),))
    for at in range(len(readings)):
        found = watch.look(float(at))
    return {pid: (use.seconds, use.joules) for pid, use in found.items()}


def test_a_shared_device_is_divided_by_use_and_strangers_pay_their_part() -> None:
    memory = {7: GIB, 8: 3 * GIB}
    before = Activity("GPU-1", 100.0, 0.8, memory, {})
    assert gpu_use(before, Activity("GPU-1", 140.0, 0.8, memory, {7: 0.6, 8: 0.2})) == {
        7: (pytest.approx(0.6), pytest.approx(30.0)),
        8: (pytest.approx(0.2), pytest.approx(10.0)),
    }
    idle = gpu_use(before, Activity("GPU-1", 140.0, 0.0, memory, {}))
    assert idle == {7: (0.0, 10.0), 8: (0.0, 30.0)}
    unknown = gpu_use(before, Activity("GPU-1", 140.0, 0.8, memory, None))
    assert unknown == {7: (pytest.approx(0.2), pytest.approx(10.0)), 8: (pytest.approx(0.6), pytest.approx(30.0))}


def test_a_task_has_its_peak_on_one_device_and_the_sum_of_its_time() -> None:
    me = os.getpid()
    readings = iter(
        [
            Activity("GPU-1", 0.0, 1.0, {me: 5 * GIB, 1: GIB}, {}),
            Activity("GPU-1", 100.0, 1.0, {me: 2 * GIB, 1: GIB}, {me: 0.5, 1: 0.5}),
            Activity("GPU-1", 200.0, 1.0, {1: GIB}, {1: 1.0}),
        ]
    )
    sampler = Sampler(1, 10.0, GpuUse(lambda: (next(readings),)))
    sampler.take([record("start", me)])
    for at in range(3):
        sampler.look(float(at))
    (found,) = sampler.close()
    assert (found.vram, found.gpus) == (5 * GIB, 1)
    assert (found.gpu_seconds, found.gpu_joules) == (pytest.approx(0.5), pytest.approx(50.0))


def test_what_tasks_told_after_their_launcher_was_killed_is_kept_once(state: StateStore, tmp_path: Path) -> None:
    run = state.runs.add("flows/f.py", "F", {})
    path = tmp_path / "spool.jsonl"
    told = {"peak": 90 * MIB, "cpu_seconds": 2.0}
    spool.append(path, record("start", 0) | {"flow": "F"})
    spool.append(path, record("start", 0, attempt=1, at=1005.0))
    spool.append(path, record("end", 0, attempt=1, at=1009.0, ok=True, profile=told))
    spool.append(path, record("start", 0, task="8"))
    for _ in range(2):
        Profiling(state, run.id, path, RatesConfig()).recover(spool.Tail(path).read())
    lost, whole = state.profiles.of(run.id)
    assert (lost.attempt, lost.ok, lost.seconds) == (0, False, 5.0)
    assert (whole.attempt, whole.ok, whole.seconds, whole.memory) == (1, True, 4.0, 90 * MIB)
    assert [row["kind"] for row in spool.Tail(path).read()].count("profile") == 2


@pytest.mark.integration
@pytest.mark.parametrize("cold", [False, True])
def test_a_flow_that_uses_known_amounts(box: Any, client: Any, cold: bool) -> None:
    """300 MiB, 200 MiB in a child, 1 CPU second, 50 MB written and read, and one killed attempt."""
    run = box.run("flows/consumer.py", cold=cold)
    state: StateStore = box.state
    found = {(row.step, row.attempt): row for row in state.profiles.of(run.id)}
    base = found["start", 0]
    grown = {step: (row.memory - base.memory) / MIB for (step, attempt), row in found.items() if attempt == 0}
    assert grown["allocate"] == pytest.approx(300, rel=0.05)
    assert grown["brief"] == pytest.approx(300, rel=0.05)
    assert grown["child"] == pytest.approx(205, rel=0.1)
    assert grown["killed"] == pytest.approx(150, rel=0.12)
    written, read = found["write", 0].write_bytes, found["write", 0].read_bytes - base.read_bytes
    assert written == pytest.approx(50e6, rel=0.02) and read == pytest.approx(50e6, rel=0.02)
    killed, again = found["killed", 0], found["killed", 1]
    assert (killed.ok, killed.exact, again.ok, again.exact) == (False, False, True, True)
    assert found["allocate", 0].asked == {"cores": 2.0, "memory": 4e9}
    assert {row.inherited > 0 for row in found.values()} == {not cold}
    logged = client.get_run(run.tracking_run_id).data.metrics
    # Against the step's own clock: what a process takes to begin differs on a busy machine.
    assert found["burn", 0].cpu_seconds == pytest.approx(logged["spent"], abs=0.25) and logged["spent"] >= 1
    assert logged["boxplat.peak_memory_mib.allocate"] == pytest.approx(found["allocate", 0].resident / MIB)
    assert logged["boxplat.energy_wh"] > 0
    peaks = {row.step: row.resident for row in found.values() if row.exact}
    wanted = recommendations(state, run.name)
    for step in ("start", "allocate", "brief", "burn", "write", "end"):
        assert peaks[step] <= wanted[step].memory * 10**6 <= 1.1 * peaks[step]
