"""Which processes keep the NVIDIA devices busy, and what energy the devices have used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from boxplat.adapters import gpu


@dataclass(frozen=True, slots=True)
class Activity:
    """One device. `joules` counts up since the driver was loaded, `busy` is its use from 0 to 1; None: not reported.

    By pid: `memory` in bytes (None: the driver hides it), `shares` of the device's time from 0 to 1; None where the
    driver does not tell them apart.
    """

    uuid: str
    joules: float | None
    busy: float | None
    memory: Mapping[int, int | None]
    shares: Mapping[int, float] | None


class Activities:
    """Reads all devices again and again; shares are means since the reading before.

    Args:
        load: returns the pynvml module.
    """

    def __init__(self, load: Callable[[], Any] = gpu.pynvml) -> None:
        self._seen: dict[str, int] = {}
        self._nvml = gpu.Nvml(load, self._look)

    def read(self) -> tuple[Activity, ...]:
        """All devices that answer; none where there is no driver. Never raises."""
        return self._nvml.read()[0]

    def _look(self, nvml: Any) -> tuple[tuple[Activity, ...], str]:
        found = []
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                found.append(self._device(nvml, nvml.nvmlDeviceGetHandleByIndex(index)))
            except nvml.NVMLError:
                continue
        return tuple(found), ""

    def _device(self, nvml: Any, handle: Any) -> Activity:
        uuid = gpu.text(gpu.maybe(nvml, nvml.nvmlDeviceGetUUID, handle) or "")
        energy = gpu.maybe(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
        use = gpu.maybe(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
        return Activity(
            uuid,
            None if energy is None else energy / 1000,
            None if use is None else use.gpu / 100,
            gpu.holders(nvml, handle, *gpu.instances(nvml, handle)),
            self._shares(nvml, handle, uuid),
        )

    def _shares(self, nvml: Any, handle: Any, uuid: str) -> dict[int, float] | None:
        since = self._seen.get(uuid, 0)
        samples = gpu.maybe(nvml, nvml.nvmlDeviceGetProcessUtilization, handle, since)
        if samples is None:
            return None
        new = [sample for sample in samples if sample.timeStamp > since]
        self._seen[uuid] = max([since, *(sample.timeStamp for sample in new)])
        seen: dict[int, list[int]] = {}
        for sample in new:
            seen.setdefault(int(sample.pid), []).append(int(sample.smUtil))
        return {pid: sum(values) / len(values) / 100 for pid, values in seen.items()}
