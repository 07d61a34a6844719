"""NVIDIA devices through NVML: the one home of pynvml.

A reading that a device does not support is None. Nothing here raises or blocks for longer than a stated time, because a
dashboard asks every second and a driver may hang or be unloaded at any moment.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from boxplat.core.model import Gpu, GpuProcess

# What a driver makes on a workstation, under WSL 2 and on a Jetson.
_DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl-gpu")

NO_DRIVER = "no NVIDIA driver here: everything runs on the CPU"
NO_DEVICE = "the NVIDIA driver sees no device: everything runs on the CPU"
NO_ANSWER = "the NVIDIA driver does not answer: these readings are old"

Seen = TypeVar("Seen")
Reading = tuple[tuple[Gpu, ...], str]


@dataclass(frozen=True, slots=True)
class Driver:
    """The installed driver and the newest CUDA version (major, minor) that it can run."""

    version: str
    cuda: tuple[int, int]


class Nvml(Generic[Seen]):
    """NVML, loaded at the first use and initialised once per process.

    Args:
        load: returns the pynvml module.
        look: reads what is wanted of it.
        patience: seconds that `read` waits for the driver; after that it returns what it saw last.
    """

    def __init__(
        self, load: Callable[[], Any], look: Callable[[Any], tuple[tuple[Seen, ...], str]], patience: float = 2.0
    ) -> None:
        self._load = load
        self._look = look
        self._patience = patience
        self._lock = threading.Lock()
        self._initialised_in: int | None = None
        self._reader: threading.Thread | None = None
        self._deadline = 0.0
        self._last: tuple[tuple[Seen, ...], str] = ((), NO_ANSWER)

    def read(self) -> tuple[tuple[Seen, ...], str]:
        """The devices as they are now, and a plain note when something is missing. Never raises."""
        with self._lock:
            if self._reader is None or not self._reader.is_alive():
                self._deadline = time.monotonic() + self._patience
                self._reader = threading.Thread(target=self._refresh, name="nvml", daemon=True)
                self._reader.start()
            reader, wait = self._reader, max(0.0, self._deadline - time.monotonic())
        reader.join(wait)
        return (self._last[0], NO_ANSWER) if reader.is_alive() else self._last

    def driver(self) -> Driver | str:
        """The driver's versions, or the reason why there is none. May block as long as the driver does."""
        try:
            nvml = self._ready()
            cuda = nvml.nvmlSystemGetCudaDriverVersion_v2()
            return Driver(text(nvml.nvmlSystemGetDriverVersion()), (cuda // 1000, cuda % 1000 // 10))
        except Exception as error:
            return self._why(error)

    def _refresh(self) -> None:
        try:
            self._last = self._look(self._ready())
        except Exception as error:
            self._last = ((), self._why(error))

    def _ready(self) -> Any:
        nvml = self._load()
        if self._initialised_in != os.getpid():
            nvml.nvmlInit()
            self._initialised_in = os.getpid()
        return nvml

    def _why(self, error: Exception) -> str:
        self._initialised_in = None
        name = type(error).__name__
        if name in ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"):
            return NO_DRIVER
        return f"the NVIDIA driver cannot be read ({str(error) or name}): everything runs on the CPU"


def pynvml() -> Any:
    """The module."""
    import pynvml as module  # type: ignore[import-untyped]

    return module


def has_driver() -> bool:
    """Whether it is worth while to load NVML, which takes longer than all the rest of `box status`."""
    return any(map(os.path.exists, _DEVICE_FILES))


def read() -> Reading:
    """All NVIDIA devices, and a plain note when there are none or some do not answer. Never raises."""
    return _NVML.read() if has_driver() else ((), NO_DRIVER)


def driver() -> Driver | str:
    """The driver's version and the CUDA version that it can run, or the reason why there is none."""
    return _NVML.driver()


def devices(nvml: Any) -> Reading:
    """What NVML shows now, and a note of what does not answer."""
    count = nvml.nvmlDeviceGetCount()
    found: list[Gpu] = []
    notes: list[str] = []
    for index in range(count):
        try:
            found.append(_device(nvml, index))
        except nvml.NVMLError as error:
            notes.append(f"GPU {index} does not answer: {error}")
    return tuple(found), "; ".join(notes) if count else NO_DEVICE


def _device(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    total, used = memory(nvml, handle)
    usage = maybe(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    return Gpu(
        index=index,
        name=text(maybe(nvml, nvml.nvmlDeviceGetName, handle) or "NVIDIA device"),
        uuid=text(maybe(nvml, nvml.nvmlDeviceGetUUID, handle) or ""),
        memory_total=total,
        memory_used=used,
        utilisation=None if usage is None else int(usage.gpu),
        power=_watts(maybe(nvml, nvml.nvmlDeviceGetPowerUsage, handle)),
        power_limit=_watts(maybe(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
        temperature=maybe(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        processes=_processes(nvml, handle),
    )


def memory(nvml: Any, handle: Any) -> tuple[int, int]:
    """Total and used bytes. A device without memory of its own (an integrated one) shares the machine's."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return int(memory.total), int(memory.used)
    except nvml.NVMLError_NotSupported:
        import psutil

        shared = psutil.virtual_memory()
        return shared.total, shared.total - shared.available


def _processes(nvml: Any, handle: Any) -> tuple[GpuProcess, ...]:
    """Who holds memory here, MIG instances included."""
    held = holders(nvml, handle, *instances(nvml, handle))
    return tuple(GpuProcess(pid, process_name(pid), held[pid]) for pid in sorted(held))


def holders(nvml: Any, *units: Any) -> dict[int, int | None]:
    """Bytes by pid (None: hidden): a process that computes and draws is listed twice by NVML and once here."""
    held: dict[int, int | None] = {}
    for unit in units:
        for listing in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            for entry in maybe(nvml, listing, unit) or ():
                known, new = held.get(entry.pid), entry.usedGpuMemory
                held[entry.pid] = new if known is None else max(known, new or 0)
    return held


def instances(nvml: Any, handle: Any) -> Iterator[Any]:
    """The MIG instances of a device: in that mode the device itself may hide its processes."""
    mode = maybe(nvml, nvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        return
    for number in range(maybe(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        instance = maybe(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if instance is not None:
            yield instance


def process_name(pid: int) -> str:
    """A short name; for Python the script or module as well. A process of another namespace or user is `?`."""
    import psutil

    try:
        process = psutil.Process(pid)
        name = process.name()
        words = process.cmdline()[1:] if name.startswith("python") else []
    except psutil.Error:
        return "?"
    if words[:1] == ["-m"] and len(words) > 1:
        return f"{name} -m {words[1]}"
    script = next((word for word in words if word.endswith(".py")), None)
    return f"{name} {os.path.basename(script)}" if script else name


def maybe(nvml: Any, call: Callable[..., Any], *args: Any) -> Any:
    """What the call returns, or None where this device or driver does not offer it. A lost device still raises."""
    try:
        return call(*args)
    except (nvml.NVMLError_GpuIsLost, nvml.NVMLError_Uninitialized):
        raise
    except nvml.NVMLError:
        return None


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


_NVML = Nvml(pynvml, devices)
