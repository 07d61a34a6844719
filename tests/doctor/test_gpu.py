"""Readings of NVIDIA devices against a fake NVML: machines without a device are common, and so are odd devices.

The fake stands at the boundary to the driver; its errors are pynvml's own classes.
"""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from boxplat.adapters import gpu

GIB = 1024**3
# Of a driver that answers: it may take a while on a busy machine.
PATIENCE = 60.0


def error(code: int) -> pynvml.NVMLError:
    return pynvml.NVMLError(code)


class FakeDriver:
    """Answers by function name; an answer that is an exception is raised. Everything else is pynvml's own."""

    def __init__(self, **answers: Any) -> None:
        self.initialised = 0
        self.answers: dict[str, Any] = {
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 * GIB, used=3 * GIB),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=63, memory=9),
            "nvmlDeviceGetName": "H200",
            "nvmlDeviceGetUUID": b"GPU-1",
            "nvmlDeviceGetPowerUsage": 412_500,
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetGraphicsRunningProcesses": [],
            "nvmlDeviceGetMigMode": error(pynvml.NVML_ERROR_NOT_SUPPORTED),
            "nvmlSystemGetDriverVersion": "570.86",
            "nvmlSystemGetCudaDriverVersion_v2": 12080,
            **answers,
        }

    def nvmlInit(self) -> None:
        self.initialised += 1
        self._answer("nvmlInit", ())

    def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        answer = self.answers.get(name)
        if callable(answer):
            answer = answer(*args)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __getattr__(self, name: str) -> Any:
        if name in self.answers:
            return lambda *args: self._answer(name, args)
        return getattr(pynvml, name)


def nvml(**answers: Any) -> gpu.Nvml:
    driver = FakeDriver(**answers)
    return gpu.Nvml(lambda: driver, gpu.devices, PATIENCE)


def used(pid: int, size: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=size)


def test_all_readings_with_their_units() -> None:
    (device,), note = nvml().read()
    assert note == ""
    assert (device.index, device.name, device.uuid) == (0, "H200", "GPU-1")
    assert (device.memory_total, device.memory_used) == (80 * GIB, 3 * GIB)
    assert (device.utilisation, device.power, device.power_limit, device.temperature) == (63, 412.5, 700.0, 61)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_no_driver_is_said_plainly(code: int) -> None:
    reader = nvml(nvmlInit=error(code))
    assert reader.read() == ((), "no NVIDIA driver here: everything runs on the CPU")
    assert reader.driver() == "no NVIDIA driver here: everything runs on the CPU"


def test_this_machine_answers_without_an_exception() -> None:
    devices, note = gpu.read()
    assert devices or note


def test_a_driver_without_devices() -> None:
    assert nvml(nvmlDeviceGetCount=0).read() == ((), gpu.NO_DEVICE)


READINGS = {
    "nvmlDeviceGetUtilizationRates": "utilisation",
    "nvmlDeviceGetPowerUsage": "power",
    "nvmlDeviceGetEnforcedPowerLimit": "power_limit",
    "nvmlDeviceGetTemperature": "temperature",
}


@pytest.mark.parametrize("call", READINGS)
@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION])
def test_a_reading_that_is_not_supported_is_none_and_costs_no_other(call: str, code: int) -> None:
    (device,), note = nvml(**{call: error(code)}).read()
    assert note == ""
    assert [field for field in READINGS.values() if getattr(device, field) is None] == [READINGS[call]]


def test_hidden_processes_and_name() -> None:
    refused = error(pynvml.NVML_ERROR_NO_PERMISSION)
    (device,), _ = nvml(nvmlDeviceGetComputeRunningProcesses=refused, nvmlDeviceGetName=refused).read()
    assert device.processes == ()
    assert device.name == "NVIDIA device"


def test_an_integrated_device_shares_the_memory_of_the_machine() -> None:
    (device,), _ = nvml(nvmlDeviceGetMemoryInfo=error(pynvml.NVML_ERROR_NOT_SUPPORTED)).read()
    assert device.memory_total == psutil.virtual_memory().total
    assert 0 < device.memory_used < device.memory_total


def test_a_lost_device_leaves_the_other_readable() -> None:
    def handle(index: int) -> Any:
        return error(pynvml.NVML_ERROR_GPU_IS_LOST) if index == 0 else index

    devices, note = nvml(nvmlDeviceGetCount=2, nvmlDeviceGetHandleByIndex=handle).read()
    assert [device.index for device in devices] == [1]
    assert note == "GPU 0 does not answer: GPU is lost"


def test_a_device_lost_between_two_readings_is_not_shown_half_empty() -> None:
    devices, note = nvml(nvmlDeviceGetTemperature=error(pynvml.NVML_ERROR_GPU_IS_LOST)).read()
    assert devices == ()
    assert note.startswith("GPU 0 does not answer")


def test_processes_are_listed_once_with_the_larger_figure_and_a_name() -> None:
    (device,), _ = nvml(
        nvmlDeviceGetComputeRunningProcesses=[used(os.getpid(), 2 * GIB), used(2**22 + 1, None)],
        nvmlDeviceGetGraphicsRunningProcesses=[used(os.getpid(), 1 * GIB), used(2**22 + 1, 5)],
    ).read()
    mine, gone = device.processes
    assert (mine.pid, mine.memory_bytes) == (os.getpid(), 2 * GIB)
    assert mine.name.startswith(psutil.Process().name())
    assert (gone.name, gone.memory_bytes) == ("?", 5)


def test_processes_of_mig_instances_belong_to_their_device() -> None:
    def processes(handle: Any) -> Any:
        return [used(7, GIB)] if handle == "mig-1" else error(pynvml.NVML_ERROR_NO_PERMISSION)

    def instance(handle: Any, number: int) -> Any:
        return "mig-1" if number == 1 else error(pynvml.NVML_ERROR_NOT_FOUND)

    (device,), note = nvml(
        nvmlDeviceGetMigMode=[pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE],
        nvmlDeviceGetMaxMigDeviceCount=3,
        nvmlDeviceGetMigDeviceHandleByIndex=instance,
        nvmlDeviceGetComputeRunningProcesses=processes,
        nvmlDeviceGetUtilizationRates=error(pynvml.NVML_ERROR_NOT_SUPPORTED),
    ).read()
    assert note == ""
    assert device.utilisation is None
    assert [(process.pid, process.memory_bytes) for process in device.processes] == [(7, GIB)]


def test_initialised_once_and_again_after_the_driver_was_reloaded() -> None:
    driver = FakeDriver()
    reader = gpu.Nvml(lambda: driver, gpu.devices, PATIENCE)
    reader.read(), reader.read(), reader.driver()
    assert driver.initialised == 1
    driver.answers["nvmlDeviceGetCount"] = error(pynvml.NVML_ERROR_UNINITIALIZED)
    assert reader.read()[1].startswith("the NVIDIA driver cannot be read (Uninitialized)")
    driver.answers["nvmlDeviceGetCount"] = 1
    assert len(reader.read()[0]) == 1
    assert driver.initialised == 2


def test_anything_else_that_breaks_is_a_note() -> None:
    devices, note = nvml(nvmlInit=OSError("libnvidia-ml.so.1: file too short")).read()
    assert devices == ()
    assert "file too short" in note


def test_a_driver_that_hangs_gives_old_readings_and_recovers() -> None:
    released, entered = threading.Event(), threading.Event()
    driver = FakeDriver()
    reader = gpu.Nvml(lambda: driver, gpu.devices, PATIENCE)
    before, _ = reader.read()

    def hang() -> int:
        entered.set()
        released.wait(120)
        return 1

    driver.answers["nvmlDeviceGetCount"] = hang
    reader._patience = 0.05
    assert reader.read() == (before, gpu.NO_ANSWER)
    assert entered.wait(60)
    threads = [thread for thread in threading.enumerate() if thread.name == "nvml"]
    assert reader.read() == (before, gpu.NO_ANSWER)
    assert [thread for thread in threading.enumerate() if thread.name == "nvml"] == threads, (
        "a hanging driver must not cost a thread each second"
    )
    released.set()
    driver.answers["nvmlDeviceGetCount"] = 1
    patient = next(thread for thread in threading.enumerate() if thread.name == "nvml")
    patient.join(60)
    reader._patience = PATIENCE
    assert reader.read() == (before, "")


def test_driver_and_cuda_version() -> None:
    assert nvml().driver() == gpu.Driver("570.86", (12, 8))
