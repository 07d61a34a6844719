"""What use costs, by the rates of `boxplat.toml`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from boxplat.core.config import RatesConfig
from boxplat.core.profile import Consumption, Profile

_HOUR = 3600.0
_GIB = 2**30
_JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Cost:
    """Amounts used (hours, kWh) and their price in the currency of the rates.

    Cores and energy are what was used. Memory and GPUs are what was kept from others: the peak, and the devices that
    were asked for or held, as long as the task took.
    """

    core_hours: float = 0.0
    memory_gib_hours: float = 0.0
    gpu_hours: float = 0.0
    kwh: float = 0.0
    cores: float = 0.0
    memory: float = 0.0
    gpus: float = 0.0
    energy: float = 0.0

    @property
    def total(self) -> float:
        return self.cores + self.memory + self.gpus + self.energy

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.core_hours + other.core_hours,
            self.memory_gib_hours + other.memory_gib_hours,
            self.gpu_hours + other.gpu_hours,
            self.kwh + other.kwh,
            self.cores + other.cores,
            self.memory + other.memory,
            self.gpus + other.gpus,
            self.energy + other.energy,
        )


def price(used: Consumption, rates: RatesConfig) -> Cost:
    """The cost of what was used."""
    core_hours = used.cpu_seconds / _HOUR
    gib_hours = used.byte_seconds / _GIB / _HOUR
    gpu_hours = used.gpu_seconds / _HOUR
    kwh = used.joules / _JOULES_PER_KWH
    return Cost(
        core_hours,
        gib_hours,
        gpu_hours,
        kwh,
        core_hours * rates.core_hour,
        gib_hours * rates.memory_gib_hour,
        gpu_hours * rates.gpu_hour,
        kwh * rates.kwh,
    )


def cost(profile: Profile, rates: RatesConfig) -> Cost:
    """The cost of one attempt at a task."""
    gpus = max(float(profile.gpus), profile.asked.get("gpus", 0.0))
    used = Consumption(
        profile.run_id,
        "",
        profile.cpu_seconds,
        profile.memory * profile.seconds,
        gpus * profile.seconds,
        profile.cpu_joules + profile.gpu_joules,
    )
    return price(used, rates)
