"""Each check of machine and GPU, provoked."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boxplat.adapters.gpu import Driver
from boxplat.doctor import devices, machine
from boxplat.doctor.probe import Site

GIB = 1024**3


@pytest.mark.parametrize(
    ("total", "free", "state"), [(1.2, 1, "fail"), (8, 1, "warn"), (8, 6, "ok"), (1.49, 1.49, "fail"), (1.5, 1.5, "ok")]
)
def test_memory(total: float, free: float, state: str) -> None:
    assert machine.judge_memory(int(total * GIB), int(free * GIB), "machine").state == state


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("2147483648\n", 2 * GIB), (None, None)])
def test_memory_limit_of_a_container(tmp_path: Path, text: str | None, limit: int | None) -> None:
    if text is not None:
        (tmp_path / "memory.max").write_text(text)
    assert machine.memory_limit(tmp_path / "memory.max") == limit


@pytest.mark.parametrize(("free", "state"), [(0.4, "fail"), (2, "warn"), (20, "ok")])
def test_disk(free: float, state: str, tmp_path: Path) -> None:
    assert machine.judge_disk(int(free * GIB), tmp_path).state == state


def test_one_core_is_a_warning(site: Callable[..., Site]) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert machine.cores(site()).state == "warn"
    finally:
        os.sched_setaffinity(0, before)


def test_a_clock_that_went_back(site: Callable[..., Site]) -> None:
    here = site()
    here.project.create()
    here.project.database.touch()
    assert machine.clock(here).state == "ok"
    later = time.time() + 3600
    os.utime(here.project.database, (later, later))
    found = machine.clock(here)
    assert found.state == "fail"
    assert "went back" in found.detail


def test_a_clock_that_was_never_set(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.time, "time", lambda: 86400.0)
    assert "1970" in machine.clock(site()).detail


@pytest.fixture
def few_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_few_open_files(site: Callable[..., Site], few_files: None) -> None:
    found = machine.open_files(site())
    assert found.state == "warn"
    assert found.fix.startswith("ulimit -n ")


def test_an_nvidia_card_is_found_without_a_driver(tmp_path: Path) -> None:
    for address, vendor, kind in [
        ("0000:01:00.0", "0x10de", "0x030000"),
        ("0000:01:00.1", "0x10de", "0x040300"),
        ("0000:02:00.0", "0x8086", "0x030000"),
        ("0000:03:00.0", "0x10de", "0x030200"),
    ]:
        (tmp_path / address).mkdir()
        (tmp_path / address / "vendor").write_text(vendor + "\n")
        (tmp_path / address / "class").write_text(kind + "\n")
    (tmp_path / "0000:04:00.0").mkdir()
    assert devices.cards(tmp_path) == ["0000:01:00.0", "0000:03:00.0"]


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("cuda: Optional[str] = None\n", None),
        ("__version__ = '2.13.0'\ncuda: Optional[str] = '12.8'\n", (12, 8)),
        ("debug = False\ncuda = '13.0'\nhip = None\n", (13, 0)),
        ("cuda_linked = '9.9'\ncuda: Optional[str] = None\n", None),
    ],
)
def test_cuda_of_a_torch_build(text: str, cuda: tuple[int, int] | None) -> None:
    assert devices.torch_cuda(text) == cuda


@pytest.mark.parametrize(
    ("cuda", "driver", "state"),
    [
        (None, "no NVIDIA driver here", "ok"),
        ((12, 8), "no NVIDIA driver here", "ok"),
        (None, Driver("570", (12, 8)), "warn"),
        ((12, 6), Driver("570", (12, 8)), "ok"),
        ((11, 8), Driver("570", (12, 8)), "ok"),
        ((12, 9), Driver("570", (12, 8)), "warn"),
        ((13, 0), Driver("570", (12, 8)), "fail"),
    ],
)
def test_torch_against_the_driver(cuda: tuple[int, int] | None, driver: Driver | str, state: str) -> None:
    assert devices.judge_torch(cuda, driver).state == state


def test_the_torch_that_is_installed_can_be_judged(site: Callable[..., Site]) -> None:
    assert devices.torch_build(site()).state in ("ok", "warn", "fail")
