"""What a task really used, and what was learnt from that: frozen dataclasses, standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Profile:
    """What one attempt at a task used, its child processes included.

    `memory` is the peak of resident bytes that it held itself, `inherited` what a forked task shared with the process
    that it was forked from. `vram` is the peak on any one device, `gpus` the devices that it held memory on. `cores` is
    the most that it kept busy for a second. `read_bytes` and `write_bytes` went through system calls, `disk_read` and
    `disk_write` to the storage below. Energy is in joules. `asked` is what the step asks for by itself: cores, memory,
    gpus, vram (bytes). `exact` is False where the task could not report its end, so that all is from samples.
    """

    run_id: int
    step: str
    task: str
    attempt: int
    ok: bool
    started: float
    seconds: float
    memory: int = 0
    inherited: int = 0
    vram: int = 0
    gpus: int = 0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    cores: float = 0.0
    read_bytes: int = 0
    write_bytes: int = 0
    disk_read: int = 0
    disk_write: int = 0
    cpu_joules: float = 0.0
    gpu_joules: float = 0.0
    asked: Mapping[str, float] = field(default_factory=dict)
    exact: bool = True

    @property
    def resident(self) -> int:
        """Bytes that it would have needed in a process of its own: what to ask of a cluster."""
        return self.memory + self.inherited


@dataclass(frozen=True, slots=True)
class Peaks:
    """What the attempts at one step's tasks used in one run: the most of any. Sizes in bytes.

    `resident` is of memory and what was inherited together, `seconds` the mean of those that succeeded (None: none
    did), `attempts` how many there were, `asked` as in `Profile`.
    """

    run_id: int
    step: str
    memory: int
    resident: int
    vram: int
    gpus: int
    cores: float
    seconds: float | None
    attempts: int
    asked: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a run's attempts used or kept from others: CPU seconds, bytes times seconds, GPUs times seconds, joules."""

    run_id: int
    flow: str
    cpu_seconds: float
    byte_seconds: float
    gpu_seconds: float
    joules: float
