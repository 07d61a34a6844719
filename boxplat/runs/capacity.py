"""What this machine has to claim, and what is taken of it without a lease: NVML, /proc and the control groups."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from boxplat.core.claims import Capacity, Device, Lease
from boxplat.core.compute import ComputeConfig
from boxplat.runs.limits import Limits

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine at one moment. `used` has bytes of memory and of device memory by lease."""

    capacity: Capacity
    used: Mapping[int, tuple[int, int]]


class Gauge(Protocol):
    """Where the ledger learns what there is; tests have one of their own."""

    def quick(self, devices: tuple[Device, ...]) -> Capacity:
        """In well below a millisecond: whatever memory is used counts as others', `devices` are as given."""

    def measure(self, leases: Sequence[Lease], gpus: bool) -> Reading:
        """With the processes of each lease told apart; with the devices if `gpus`."""


class Machine:
    """This machine, as far as the settings let the box have it, and CUDA_VISIBLE_DEVICES where it is set."""

    def __init__(self, config: ComputeConfig | None = None, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._config = config or ComputeConfig.of(environ)
        self._visible = environ.get("CUDA_VISIBLE_DEVICES")
        self._limits = Limits()

    def quick(self, devices: tuple[Device, ...]) -> Capacity:
        """See `Gauge`."""
        return self._capacity(0, devices)

    def measure(self, leases: Sequence[Lease], gpus: bool) -> Reading:
        """See `Gauge`."""
        from boxplat.adapters import gpu_units
        from boxplat.runs import usage

        ours = usage.trees(leases)
        units = gpu_units.read() if gpus else ()
        used = {key: (usage.memory(pids), usage.device_memory(units, pids)) for key, pids in ours.items()}
        devices = usage.devices(units, leases, ours)
        return Reading(self._capacity(sum(memory for memory, _ in used.values()), devices), used)

    def _capacity(self, used: int, devices: tuple[Device, ...]) -> Capacity:
        cores, memory, config = self._limits.cores(), self._limits.memory(), self._config
        most = max(0, memory.limit - config.reserve_mib * _MIB)
        claimable = min(most, config.memory_mib * _MIB) if config.memory_mib else most
        foreign = max(0, memory.limit - memory.available - used)
        # Others may have what is not ours to claim.
        foreign = max(0, foreign - (most - claimable))
        devices = tuple(one for one in devices if _visible(one, self._visible))
        return Capacity(min(cores, config.cores) if config.cores else cores, claimable, devices, foreign)


def _visible(device: Device, said: str | None) -> bool:
    """Whether a process would see a device, by ids (which may be cut short) or numbers."""
    if said is None:
        return True
    words = [word.strip() for word in said.split(",")]
    return any(
        word == str(device.index) or (word[:4] in ("GPU-", "MIG-") and device.uuid.startswith(word)) for word in words
    )
