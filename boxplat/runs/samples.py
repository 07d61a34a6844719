"""What was measured last, by whomever: so that not everybody who waits has to measure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from boxplat.core.claims import Capacity, Device, Lease
from boxplat.runs.capacity import Reading


@dataclass(frozen=True, slots=True)
class Sample:
    """A measured capacity; `age` and `devices_age` are in seconds (infinity: never)."""

    capacity: Capacity
    age: float
    devices_age: float

    @classmethod
    def of(cls, stored: tuple[float, Mapping[str, Any]] | None) -> Sample:
        """The stored one; an empty one where there is none."""
        if stored is None:
            return cls(Capacity(0, 0), float("inf"), float("inf"))
        age, told = stored
        fields = dict(told["capacity"])
        fields["devices"] = tuple(Device(**device) for device in fields["devices"])
        read = told["devices_at"]
        return cls(Capacity(**fields), age, float("inf") if read is None else time.monotonic() - read)

    def fresh(self, seconds: float, gpus: bool) -> bool:
        """Whether it is of use still; a clock that began again says no."""
        return 0 <= self.age < seconds and (not gpus or 0 <= self.devices_age < seconds)

    def now(self, quick: Capacity, leases: Sequence[Lease]) -> Reading:
        """What it says together with what a quick look shows: of others' memory the larger figure counts."""
        used = {lease.id: (lease.used, lease.vram_used) for lease in leases}
        taken = quick.foreign - sum(memory for memory, _ in used.values())
        return Reading(replace(quick, foreign=max(self.capacity.foreign, taken)), used)

    def completed(self, reading: Reading, gpus: bool) -> tuple[Reading, dict[str, Any]]:
        """A new reading with the devices as they are known, and what to store of it.

        A driver that shows no device any more may only be hanging: nothing is free there until it answers.
        """
        if gpus and (reading.capacity.devices or not self.capacity.devices):
            at: float | None = time.monotonic()
        else:
            silent = tuple(replace(one, foreign=one.memory) if gpus else one for one in self.capacity.devices)
            reading = replace(reading, capacity=replace(reading.capacity, devices=silent))
            at = None if self.devices_age == float("inf") else time.monotonic() - self.devices_age
        return reading, {"capacity": asdict(reading.capacity), "devices_at": at}
