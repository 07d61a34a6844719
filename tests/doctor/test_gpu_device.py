"""On a machine with an NVIDIA device (`pytest -m device`); needs pynvml, psutil and pytest only."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from boxplat.adapters import gpu

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def devices() -> tuple[gpu.Gpu, ...]:
    found, note = gpu.read()
    if not found:
        pytest.skip(note)
    return found


def test_readings_are_plausible(devices: tuple[gpu.Gpu, ...]) -> None:
    for device in devices:
        assert device.name and device.uuid.startswith("GPU-")
        assert 0 <= device.memory_used <= device.memory_total
        assert device.utilisation is None or 0 <= device.utilisation <= 100
        assert device.power is None or 1 < device.power < 2000
        assert device.temperature is None or 0 < device.temperature < 120


def test_equal_to_what_nvidia_smi_says(devices: tuple[gpu.Gpu, ...]) -> None:
    if shutil.which("nvidia-smi") is None:
        pytest.skip("nvidia-smi is not here")
    query = ["nvidia-smi", "--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits"]
    lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    told = {uuid.strip(): int(mib) for uuid, mib in (line.split(",") for line in lines)}
    assert {device.uuid: device.memory_total // 1024**2 for device in devices} == told


def test_driver_versions(devices: tuple[gpu.Gpu, ...]) -> None:
    found = gpu.driver()
    assert isinstance(found, gpu.Driver)
    assert found.cuda >= (11, 0)


def test_cheap_enough_for_each_second(devices: tuple[gpu.Gpu, ...]) -> None:
    began = time.process_time()
    for _ in range(20):
        gpu.read()
    assert (time.process_time() - began) / 20 < 0.05


def test_a_process_that_takes_memory_is_seen(devices: tuple[gpu.Gpu, ...]) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch does not see the device")
    before = gpu.read()[0][0].memory_used
    block = torch.zeros(256 * 1024**2, dtype=torch.uint8, device="cuda:0")
    after = gpu.read()[0][0]
    assert after.memory_used - before >= block.numel() * 0.9
    # In a container the driver may tell the host's pids: then the name is `?`.
    assert any(process.pid == os.getpid() or process.name == "?" for process in after.processes)
