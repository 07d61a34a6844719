"""What can be claimed of devices and their slices, and whose their memory is, against a fake NVML."""

from __future__ import annotations

import os
from typing import Any

import pynvml
import pytest

from boxplat.adapters.gpu_units import Unit, units
from boxplat.core.claims import Claim, Device, Lease
from boxplat.core.compute import ComputeConfig
from boxplat.runs import usage
from boxplat.runs.capacity import Machine
from tests.doctor.test_gpu import GIB, FakeDriver, error, used

ME = os.getpid()
# No process has it: the largest is 4194304.
NOBODY = 5_000_000


def read(**answers: Any) -> tuple[Unit, ...]:
    return units(FakeDriver(**answers))[0]


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (None, "01"),
        ("", ""),
        ("-1", ""),
        ("1", "1"),
        ("0,1", "01"),
        ("GPU-b", "1"),
        ("MIG-a, GPU-aa", "0"),
        ("GPU-c", ""),
    ],
)
def test_what_the_user_keeps_from_cuda_cannot_be_claimed(said: str | None, seen: str) -> None:
    devices = (Device("GPU-aa-1", "H200", GIB, index=0), Device("GPU-bb-2", "H200", GIB, index=1))
    environ = {} if said is None else {"CUDA_VISIBLE_DEVICES": said}
    found = Machine(ComputeConfig(), environ).quick(devices).devices
    assert "".join(str(device.index) for device in found) == seen


def lease(claim: Claim, uuid: str = "GPU-1", pid: int = ME) -> Lease:
    return Lease(1, "run/1/train/1", claim, (uuid,), pid, 0.0)


def foreign(unit: Unit, *leases: Lease, ours: tuple[int, ...] = ()) -> int:
    (device,) = usage.devices([unit], leases, {one.id: list(ours) for one in leases})
    return device.foreign


def test_a_device_with_its_processes() -> None:
    (unit,) = read(nvmlDeviceGetComputeRunningProcesses=[used(ME, 2 * GIB), used(1, None)])
    assert unit == Unit("GPU-1", "H200", 80 * GIB, 3 * GIB, {ME: 2 * GIB, 1: None})


def test_slices_stand_for_their_device() -> None:
    mode = (pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE)
    found = read(
        nvmlDeviceGetMigMode=mode,
        nvmlDeviceGetMaxMigDeviceCount=3,
        nvmlDeviceGetMigDeviceHandleByIndex=lambda handle, number: (
            f"MIG-{number}" if number < 2 else error(pynvml.NVML_ERROR_NOT_FOUND)
        ),
        nvmlDeviceGetUUID=lambda handle: handle if isinstance(handle, str) else "GPU-1",
        nvmlDeviceGetName=lambda handle: "H200 MIG 1g.18gb" if isinstance(handle, str) else "H200",
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [used(ME, GIB)] if handle == "MIG-1" else [],
    )
    assert [(unit.uuid, unit.name, unit.slice) for unit in found] == [
        ("MIG-0", "H200 MIG 1g.18gb", True),
        ("MIG-1", "H200 MIG 1g.18gb", True),
    ]
    assert [unit.processes for unit in found] == [{}, {ME: GIB}]


@pytest.mark.parametrize("answer", [None, error(pynvml.NVML_ERROR_UNKNOWN)])
def test_a_device_that_does_not_answer_is_left_out(answer: Any) -> None:
    found, note = units(FakeDriver(nvmlDeviceGetCount=2, nvmlDeviceGetMemoryInfo=answer))
    assert found == () and note.startswith("GPU 0 does not answer")


@pytest.mark.parametrize("call", ["nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses"])
def test_a_listing_that_is_nothing_is_an_empty_one(call: str) -> None:
    (unit,) = read(**{call: None})
    assert unit.processes == {} and unit.used == 3 * GIB


def test_what_nobody_of_ours_has_is_others() -> None:
    unit = Unit("GPU-1", "H200", 80 * GIB, 11 * GIB, {ME: 6 * GIB, 1: 4 * GIB})
    assert foreign(unit) == 11 * GIB
    assert foreign(unit, lease(Claim(1.0, 0, 1.0, 20 * GIB)), ours=(ME,)) == 5 * GIB


def test_a_process_of_ours_without_a_lease_on_this_device_is_a_stranger_to_it() -> None:
    unit = Unit("GPU-1", "H200", 80 * GIB, 6 * GIB, {ME: 6 * GIB})
    assert foreign(unit, lease(Claim(1.0, 0, 1.0, 20 * GIB), "GPU-2"), ours=(ME,)) == 6 * GIB


@pytest.mark.parametrize("processes", [{ME: None}, {NOBODY: 12 * GIB}, {}])
def test_where_the_driver_hides_whose_it_is_claims_stand_for_it(processes: dict[int, int | None]) -> None:
    """In a container the pids are the host's, under WSL the sizes are hidden: what was claimed must not count twice."""
    unit = Unit("GPU-1", "H200", 80 * GIB, 12 * GIB, processes)
    assert foreign(unit, lease(Claim(1.0, 0, 1.0, 20 * GIB)), ours=(ME,)) == 0
    assert foreign(unit, lease(Claim(1.0, 0, 1.0, 10 * GIB)), ours=(ME,)) == 2 * GIB
    assert foreign(unit) == 12 * GIB


def test_the_drivers_own_memory_is_not_taken_for_a_leases() -> None:
    unit = Unit("GPU-1", "H200", 80 * GIB, GIB, {})
    assert foreign(unit, lease(Claim(1.0, 0, 1.0, 20 * GIB)), ours=(ME,)) == GIB
