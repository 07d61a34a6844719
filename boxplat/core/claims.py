"""The nouns of the ledger: what is asked of the machine, what was granted, and what there is.

Times are seconds since the epoch (UTC) as float; sizes are bytes as int.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Priority(StrEnum):
    """The classes in which claims are served, the first before all others."""

    SERVING = "serving"
    INTERACTIVE = "interactive"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a process asks of the machine before it starts.

    `cores` may be a fraction, `memory` is bytes, `gpus` the number of devices (0: none; below 1: that share of one),
    `vram` bytes on each of them (0: the whole device). `expected_seconds` is how long it is thought to take.
    `asked` is False where the sizes were only learnt or assumed: such a claim is never stopped for taking more.
    """

    cores: float = 1.0
    memory: int = 0
    gpus: float = 0.0
    vram: int = 0
    priority: Priority = Priority.BATCH
    expected_seconds: float | None = None
    asked: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Claim:
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        if "priority" in known:
            known["priority"] = Priority(known["priority"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim that was granted to a process that is alive.

    `owner` is `run/12/train/3` (run, step, task) or `service/delay@7`, `devices` are uuids of NVML (of MIG slices where
    a device has them), `since` is seconds since the epoch. `used` is what its processes have now (bytes), `vram_used`
    the same on its devices; 0 where it was not measured.
    """

    id: int
    owner: str
    claim: Claim
    devices: tuple[str, ...]
    pid: int
    since: float
    used: int = 0
    vram_used: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claim that does not fit yet, or whose turn it is not. `pid` is the process that waits.

    Within a class the lower `position` goes first, then the lower id. `why` is for people, `estimate` is when it may go
    (seconds since the epoch; None: nobody knows).
    """

    id: int
    owner: str
    claim: Claim
    since: float
    pid: int
    position: float = 0.0
    why: str = ""
    estimate: float | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG slice of one, that can be claimed. `foreign` is what others than the box have there (bytes),
    `index` the GPU's number in NVML.
    """

    uuid: str
    name: str
    memory: int
    foreign: int = 0
    slice: bool = False
    index: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What may be claimed in all: the machine, less what is kept in reserve. `foreign` is memory that processes without
    a lease have of it (bytes).
    """

    cores: float
    memory: int
    devices: tuple[Device, ...] = ()
    foreign: int = 0


@dataclass(frozen=True, slots=True)
class Holdings:
    """The ledger at one moment; the waiting in the order in which they are served."""

    capacity: Capacity
    leases: tuple[Lease, ...]
    waiting: tuple[Waiting, ...]
