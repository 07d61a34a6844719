"""Machines to choose from: what each has, smallest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boxplat.export.terraform.needs import GIB, Room

# What the system, the kubelet and the pods of the cluster itself take of a machine.
_OWN_CORES, _OWN_SHARE, _OWN_MEMORY = 0.4, 0.08, 1.0 * GIB


@dataclass(frozen=True, slots=True)
class Machine:
    """`memory` and `gpu_memory` in GiB; `gpu` is Google's name of its accelerator."""

    name: str
    cores: int
    memory: int
    gpu_memory: int = 0
    gpu: str = ""

    @property
    def free(self) -> Room:
        """What pods can have."""
        return Room(self.cores - _OWN_CORES, self.memory * GIB * (1 - _OWN_SHARE) - _OWN_MEMORY)

    def holds(self, room: Room, gpu_memory: float = 0.0) -> bool:
        """Whether a pod fits on the empty machine."""
        enough = self.free.cores >= room.cores and self.free.memory >= room.memory
        return enough and self.gpu_memory * GIB >= gpu_memory


_SIZES = ((2, 8), (4, 16), (8, 32), (16, 64), (32, 128), (48, 192), (64, 256), (96, 384))
_AWS_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge")
AWS = tuple(Machine(f"m7i.{name}", *size) for name, size in zip(_AWS_SIZES, _SIZES, strict=True))
GOOGLE = tuple(Machine(f"n2-standard-{cores}", cores, memory) for cores, memory in _SIZES)
AWS_GPU = (
    Machine("g4dn.xlarge", 4, 16, 16),
    Machine("g4dn.2xlarge", 8, 32, 16),
    Machine("g6.xlarge", 4, 16, 24),
    Machine("g6.2xlarge", 8, 32, 24),
    Machine("g6.4xlarge", 16, 64, 24),
    Machine("g6.8xlarge", 32, 128, 24),
    Machine("g6e.xlarge", 4, 32, 48),
    Machine("g6e.2xlarge", 8, 64, 48),
    Machine("g6e.4xlarge", 16, 128, 48),
    Machine("g6e.8xlarge", 32, 256, 48),
    Machine("p5.4xlarge", 16, 256, 80),
)
GOOGLE_GPU = (
    Machine("g2-standard-4", 4, 16, 24, "nvidia-l4"),
    Machine("g2-standard-8", 8, 32, 24, "nvidia-l4"),
    Machine("g2-standard-16", 16, 64, 24, "nvidia-l4"),
    Machine("g2-standard-32", 32, 128, 24, "nvidia-l4"),
    Machine("a2-highgpu-1g", 12, 85, 40, "nvidia-tesla-a100"),
    Machine("a2-ultragpu-1g", 12, 170, 80, "nvidia-a100-80gb"),
    Machine("a3-highgpu-1g", 26, 234, 80, "nvidia-h100-80gb"),
)


def smallest(machines: Sequence[Machine], room: Room, gpu_memory: float = 0.0) -> tuple[Machine, bool]:
    """The first machine that a pod fits on, or the last with False where it fits on none."""
    found = next((machine for machine in machines if machine.holds(room, gpu_memory)), None)
    return (found, True) if found is not None else (machines[-1], False)
