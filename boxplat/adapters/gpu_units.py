"""What of the GPUs can be claimed: each device, or its MIG slices, with who has how much of its memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from boxplat.adapters import gpu


@dataclass(frozen=True, slots=True)
class Unit:
    """A device, or a MIG slice of one. Sizes are bytes; `processes` maps pids to theirs (None: the driver hides it)."""

    uuid: str
    name: str
    memory: int
    used: int
    processes: Mapping[int, int | None]
    slice: bool = False
    index: int = 0


def read() -> tuple[Unit, ...]:
    """All of them; none where there is no driver or it does not answer in time. Never raises."""
    return _NVML.read()[0] if gpu.has_driver() else ()


def units(nvml: Any) -> tuple[tuple[Unit, ...], str]:
    """What NVML shows now; a device that does not answer is left out."""
    found: list[Unit] = []
    notes: list[str] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            found += _of(nvml, index, nvml.nvmlDeviceGetHandleByIndex(index))
        except (nvml.NVMLError, AttributeError, TypeError) as error:
            # An answer may be nothing where the driver is of two minds about a device.
            notes.append(f"GPU {index} does not answer: {error}")
    return tuple(found), "; ".join(notes)


def _of(nvml: Any, index: int, handle: Any) -> Iterator[Unit]:
    name = gpu.text(gpu.maybe(nvml, nvml.nvmlDeviceGetName, handle) or "NVIDIA device")
    slices = list(gpu.instances(nvml, handle))
    for unit in slices or [handle]:
        uuid = gpu.text(gpu.maybe(nvml, nvml.nvmlDeviceGetUUID, unit) or "")
        if not uuid:
            continue
        total, used = gpu.memory(nvml, unit)
        shown = gpu.text(gpu.maybe(nvml, nvml.nvmlDeviceGetName, unit) or name) if slices else name
        yield Unit(uuid, shown, total, used, gpu.holders(nvml, unit), bool(slices), index)


_NVML = gpu.Nvml(gpu.pynvml, look=units)
