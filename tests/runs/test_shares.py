"""Who has what of the machine, and how busy it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.claims import Capacity, Claim, Device, Priority
from boxplat.core.errors import BoxError
from boxplat.core.model import ServiceStatus, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.host import Meter
from boxplat.runs.limits import Limits
from boxplat.runs.queue import Line, Place
from boxplat.runs.shares import Part, Share, shares

GIB = 2**30
GPU = Device("GPU-1", "RTX", 24 * GIB, foreign=2 * GIB)


def service(name: str, memory: int | None) -> ServiceStatus:
    return ServiceStatus(name, "service", True, State.RUNNING, 1, None, None, 0, 0.0, "", "", memory)


def place(owner: str, run: int | None, state: str, claim: Claim, used: int = 0, vram: int = 0, on: int = 0) -> Place:
    devices = ("GPU-1", "GPU-2")[:on]
    return Place(owner, run, state, Priority.BATCH, claim, 0.0, devices=devices, used=used, vram_used=vram)


def test_each_part_has_its_owner_and_what_waits_has_none() -> None:
    line = Line(
        0.0,
        Capacity(8, 32 * GIB, (GPU,), foreign=5 * GIB),
        (
            place("service/delay@7", None, "running", Claim(0, GIB, 1, GIB), GIB // 2, 3 * GIB, 1),
            place("run/1/train/3", 1, "running", Claim(2, 4 * GIB, 2, 6 * GIB), GIB, 8 * GIB, 2),
            place("run/1/train/4", 1, "running", Claim(1, 4 * GIB), 6 * GIB),
            place("run/2", 2, "queued", Claim(4, 9 * GIB, 1)),
        ),
    )
    cores, memory, device = shares(line, [service("tracking", GIB), service("delay", 7 * GIB), service("off", None)])
    assert cores == Share("cores", "cores", 8, 5, (Part("run/1", 3.0),))
    assert memory.parts == (
        Part("run/1", 7 * GIB, 3 * GIB),
        Part("box", GIB),
        Part("service/delay@7", GIB / 2, GIB / 2),
        Part("others", 4 * GIB),
    )
    assert memory.free == 16 * GIB
    assert device.parts == (
        Part("run/1", 4 * GIB, 2 * GIB),
        Part("service/delay@7", 3 * GIB),
        Part("others", 2 * GIB),
    )
    assert (device.index, device.slice, device.free) == (0, False, 13 * GIB)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**40), st.integers(0, 2**40)), max_size=9))
@settings(deadline=None)
def test_nothing_is_lost_and_nothing_is_below_zero(leases: list[tuple[int, int, int]]) -> None:
    rows = [place(f"run/{run}/a/1", run, "running", Claim(1, claim), used) for run, claim, used in leases]
    memory = shares(Line(0.0, Capacity(2, 2**36, (), 7), tuple(rows)), [service("tracking", 5)])[1]
    assert sum(part.used for part in memory.parts) == 7 + sum(used for _, _, used in leases)
    taken = sum(part.used + part.promised for part in memory.parts)
    assert taken == 7 + sum(max(claim, used) for _, claim, used in leases)
    assert memory.free == max(0, 2**36 - taken)


def test_servers_never_have_more_than_was_measured() -> None:
    memory = shares(Line(0.0, Capacity(2, GIB, (), 5), ()), [service("tracking", 9)])[1]
    assert memory.parts == (Part("box", 5),)


def test_a_run_passes_one_queued_run_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "boxplat.toml").write_text("")
    state = StateStore.open(Paths(tmp_path))
    for priority in ("interactive", "interactive", "batch", "interactive", "interactive"):
        state.runs.add("f.py", "F", {}, priority=priority)
    state.runs.claim(2, 1, 1.0)

    def moved(run: int, step: int) -> list[int]:
        place = state.queue.move(run, None, False, "test", step)
        order = [one.id for one in state.runs.active() if one.priority == "interactive"]
        assert order[place - 1] == run
        return order

    assert moved(5, -1) == [1, 2, 5, 4]
    assert moved(5, -1) == [5, 1, 2, 4]
    assert moved(5, -1) == [5, 1, 2, 4]
    assert moved(5, 1) == [1, 5, 2, 4]
    assert moved(5, 1) == [1, 2, 4, 5]
    assert moved(5, 1) == [1, 2, 4, 5]
    with pytest.raises(BoxError):
        state.queue.move(9, None, False, "test", 1)


def _limits(folder: Path, stat: str, groups: str = "0::/", **files: str) -> Limits:
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "cgroup").write_text(groups)
    (folder / "proc" / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable: 1024 kB\n")
    (folder / "proc" / "stat").write_text(stat)
    (folder / "groups").mkdir()
    (folder / "groups" / "cgroup.controllers").write_text("cpu memory")
    for name, text in files.items():
        (folder / "groups" / name.replace("_", ".", 1)).write_text(text)
    return Limits(folder / "proc", folder / "groups")


def test_only_the_cores_that_may_be_used_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2})
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    stat = "cpu  999 0 0 0\ncpu0 {} 1 2 900 70 3 4 50 0\ncpu1 500 0 0 0 0 0 0 0 0\ncpu2 100 0 0 0 0 0 0 0 0\nintr 7\n"
    limits = _limits(tmp_path, stat.format(90))
    assert limits.cpu_seconds() == pytest.approx(2.0)
    meter = Meter(limits)
    assert meter.read(10.0).busy is None
    (tmp_path / "proc" / "stat").write_text(stat.format(240))
    host = meter.read(11.0)
    assert host.busy == pytest.approx(1.5)
    assert (host.cores, host.memory_total, host.memory_used) == (2, 4096 * 1024, 3072 * 1024)
    (tmp_path / "proc" / "stat").write_text(stat.format(9000))
    assert meter.read(11.1).busy == pytest.approx(1.5), "too soon to tell"
    assert meter.read(12.0).busy == 2.0, "never more than there are"


def test_a_quota_counts_its_own_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    files = {"cpu_max": "200000 100000", "cpu_stat": "usage_usec 2500000\nuser_usec 1"}
    assert _limits(tmp_path, "cpu0 9 9 9 9 9 9 9\n", **files).cpu_seconds() == 2.5
