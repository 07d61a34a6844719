"""What is left of a machine at one moment, and where a claim would go. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from boxplat.core.claims import Capacity, Claim, Device, Lease

# A desktop draws on the device that a training wants whole.
_DESKTOP = 0.2
_DUST = 1e-6


def count(claim: Claim) -> int:
    """How many devices a claim is about."""
    return math.ceil(claim.gpus)


def whole(claim: Claim) -> bool:
    """Whether a claim wants its devices for itself."""
    return claim.gpus >= 1 and not claim.vram


def share(claim: Claim, device: Device) -> int:
    """Bytes of a device that a claim takes."""
    if claim.vram:
        return claim.vram
    return device.memory if claim.gpus >= 1 else math.ceil(claim.gpus * device.memory)


class Space:
    """Cores, memory and device memory that nobody has claimed. Below zero where somebody has more than was asked."""

    __slots__ = ("cores", "devices", "holders", "memory", "vram")

    def __init__(self, capacity: Capacity, leases: Iterable[Lease] = ()) -> None:
        self.devices = {device.uuid: device for device in capacity.devices}
        self.cores = capacity.cores
        self.memory = capacity.memory - capacity.foreign
        self.vram = {device.uuid: device.memory - device.foreign for device in capacity.devices}
        self.holders = dict.fromkeys(self.vram, 0)
        for lease in leases:
            self.take(lease.claim, lease.devices, lease.used, lease.vram_used)

    def copy(self) -> Space:
        """An independent one."""
        other = object.__new__(Space)
        other.devices, other.cores, other.memory = self.devices, self.cores, self.memory
        other.vram, other.holders = dict(self.vram), dict(self.holders)
        return other

    def take(self, claim: Claim, uuids: tuple[str, ...], used: int = 0, vram_used: int = 0, sign: int = -1) -> None:
        """Book a claim; what its holder has beyond it (`used`, `vram_used`, bytes) counts as well."""
        self.cores += sign * claim.cores
        self.memory += sign * max(claim.memory, used)
        for uuid in uuids:
            if uuid in self.vram:
                self.vram[uuid] += sign * max(share(claim, self.devices[uuid]), vram_used // len(uuids))
                self.holders[uuid] -= sign

    def give(self, claim: Claim, uuids: tuple[str, ...], used: int = 0, vram_used: int = 0) -> None:
        """Take a booking back."""
        self.take(claim, uuids, used, vram_used, 1)

    def place(self, claim: Claim) -> tuple[str, ...] | None:
        """The devices that a claim would get (none: an empty tuple), or None when it does not fit.

        Of several devices the fullest that has room is taken, so that whole ones stay free.
        """
        if claim.cores > self.cores + _DUST and claim.cores > 0:
            return None
        if claim.memory > self.memory and claim.memory > 0:
            return None
        wanted = count(claim)
        if not wanted:
            return ()
        fitting = sorted((room, uuid) for uuid, room in self.vram.items() if self._has(uuid, claim))
        return tuple(uuid for _, uuid in fitting[:wanted]) if len(fitting) >= wanted else None

    def _has(self, uuid: str, claim: Claim) -> bool:
        device = self.devices[uuid]
        # CUDA shows a process one slice only.
        if device.slice and count(claim) > 1:
            return False
        if whole(claim):
            return not self.holders[uuid] and device.foreign <= _DESKTOP * device.memory
        return share(claim, device) <= self.vram[uuid]

    def within(self, other: Space) -> Space:
        """What is left here and there."""
        both = self.copy()
        both.cores, both.memory = min(self.cores, other.cores), min(self.memory, other.memory)
        both.vram = {uuid: min(room, other.vram[uuid]) for uuid, room in self.vram.items()}
        both.holders = {uuid: max(held, other.holders[uuid]) for uuid, held in self.holders.items()}
        return both
