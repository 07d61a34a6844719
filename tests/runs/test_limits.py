"""What a process may use, by /proc and control groups of both versions that are written down here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from boxplat.runs.limits import Limits, Memory

GIB = 2**30
_ALONE = "0::/"


def limits(folder: Path, files: Mapping[str, object], groups: str, total: int = 64, free: int = 48) -> Limits:
    """A machine with some GiB of memory; `files` are below the folder of the control groups."""
    proc, mount = folder / "proc", folder / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(groups)
    (proc / "meminfo").write_text(f"MemTotal: {total * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {free * 2**20} kB\n")
    for name, value in files.items():
        path = mount / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return Limits(proc, mount)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def test_a_machine_without_limits(tmp_path: Path) -> None:
    found = limits(tmp_path, {"cgroup.controllers": "cpu memory"}, _ALONE)
    assert found.memory() == Memory(64 * GIB, 48 * GIB) and found.cores() == 8.0


def test_a_container_of_version_two(tmp_path: Path) -> None:
    """The path in /proc is the host's, and is not there; pages of files can be had."""
    files = {
        "cgroup.controllers": "cpu memory",
        "memory.max": 8 * GIB,
        "memory.current": 5 * GIB,
        "memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}",
        "cpu.max": "250000 100000",
    }
    found = limits(tmp_path, files, "0::/docker/0123456789")
    assert found.memory() == Memory(8 * GIB, 5 * GIB) and found.cores() == 2.5


def test_the_tightest_of_the_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "cgroup.controllers": "cpu memory",
        "user.slice/memory.max": 16 * GIB,
        "user.slice/memory.current": 15 * GIB,
        "user.slice/me.scope/memory.max": "max",
        "user.slice/me.scope/memory.current": GIB,
        "user.slice/cpu.max": "max 100000",
        "user.slice/me.scope/cpu.max": "400000 100000",
    }
    found = limits(tmp_path, files, "0::/user.slice/me.scope\n")
    assert found.memory() == Memory(16 * GIB, GIB) and found.cores() == 4.0


def test_version_one_with_its_no_limit(tmp_path: Path) -> None:
    files = {
        "memory/box/memory.limit_in_bytes": 4 * GIB,
        "memory/box/memory.usage_in_bytes": 3 * GIB,
        "memory/box/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}",
        "memory/memory.limit_in_bytes": 9223372036854771712,
        "memory/memory.usage_in_bytes": 20 * GIB,
        "cpu,cpuacct/cpu.cfs_quota_us": -1,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
        "cpu,cpuacct/box/cpu.cfs_quota_us": 150000,
        "cpu,cpuacct/box/cpu.cfs_period_us": 100000,
    }
    found = limits(tmp_path, files, "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n0::/")
    assert found.memory() == Memory(4 * GIB, 2 * GIB) and found.cores() == 1.5


@pytest.mark.parametrize("quota", ["1000 100000", "0 100000", "", "max"])
def test_at_least_one_core_can_be_claimed(tmp_path: Path, quota: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a quota of a hundredth, or none, things take longer; but nothing waits for ever."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert limits(tmp_path, {"cgroup.controllers": "cpu", "cpu.max": quota}, _ALONE).cores() == 1.0


def test_a_group_that_is_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    files = {"cgroup.controllers": "memory", "memory.max": 2 * GIB, "memory.current": 2 * GIB + 4096}
    assert limits(tmp_path, files, _ALONE).memory() == Memory(2 * GIB, 0)


def test_a_kernel_that_says_nothing(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    assert Limits(proc, tmp_path / "none").memory() == Memory(0, 0)


def test_this_machine_has_something() -> None:
    memory = Limits().memory()
    assert 0 < memory.available <= memory.limit
