"""What processes use of the GPUs: memory, time and energy, shared out among those that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from boxplat.adapters import gpu
from boxplat.adapters.gpu_activity import Activities, Activity

# Seconds between two readings: the driver's own samples are a sixth of a second apart and more.
EVERY = 0.5


@dataclass(slots=True)
class DeviceUse:
    """What one process used since the reading before: bytes by device, seconds of a device's time, joules."""

    memory: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    joules: float = 0.0


class GpuUse:
    """Use of all devices by process, between readings.

    A device's energy goes to the processes by their share of its time, strangers included; while all are idle, by
    the memory that they hold. So tasks that share a device pay its idle power too.

    Args:
        read: the devices now; by default from NVML, where there is a driver.
    """

    def __init__(self, read: Callable[[], tuple[Activity, ...]] | None = None) -> None:
        self._read = read or (Activities().read if gpu.has_driver() else None)
        self._before: dict[str, Activity] = {}
        self._at = float("-inf")

    def look(self, now: float) -> Mapping[int, DeviceUse]:
        """By pid; nothing where there is no GPU, or the time for a reading has not come.

        Args:
            now: seconds of a clock that only goes forward.
        """
        if self._read is None or now - self._at < EVERY:
            return {}
        found: dict[int, DeviceUse] = {}
        devices = self._read()
        for device in devices:
            for pid, size in device.memory.items():
                found.setdefault(pid, DeviceUse()).memory[device.uuid] = size or 0
            if device.uuid in self._before:
                self._spent(found, device, self._before[device.uuid], now - self._at)
        self._before = {device.uuid: device for device in devices}
        self._at = now
        return found

    def _spent(self, found: dict[int, DeviceUse], device: Activity, before: Activity, seconds: float) -> None:
        shares = _shares(device)
        busy = sum(shares.values())
        held = sum(size or 0 for size in device.memory.values())
        joules = 0.0 if device.joules is None or before.joules is None else max(0.0, device.joules - before.joules)
        for pid in {*shares, *device.memory}:
            use = found.setdefault(pid, DeviceUse())
            use.seconds += shares.get(pid, 0.0) * seconds
            if busy:
                use.joules += joules * shares.get(pid, 0.0) / busy
            elif held:
                use.joules += joules * (device.memory.get(pid) or 0) / held


def _shares(device: Activity) -> Mapping[int, float]:
    """The share of a device's time that each process has; by memory where the driver does not tell them apart."""
    if device.shares is not None:
        return device.shares
    held = sum(size or 0 for size in device.memory.values())
    if not held or device.busy is None:
        return {}
    return {pid: device.busy * (size or 0) / held for pid, size in device.memory.items()}
