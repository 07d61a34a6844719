"""A run's profiles as numbers for its record in MLflow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from boxplat.runs.spool import Record

_MIB = 2**20
# Metric, field of the profile, divisor: of a step the peak, or the sum of its attempts.
_PEAKS = (("peak_vram_mib", "vram", _MIB), ("peak_cores", "cores", 1))
_SUMS = (
    ("cpu_seconds", "cpu_seconds", 1),
    ("gpu_seconds", "gpu_seconds", 1),
    ("read_mib", "read_bytes", _MIB),
    ("written_mib", "write_bytes", _MIB),
)


def of(records: Iterable[Record]) -> dict[str, float]:
    """The metrics of `profile` records: `boxplat.peak_memory_mib.STEP` and so on, and the run's energy (Wh) and cost.

    A GPU's are left out where none was used.
    """
    found: dict[str, float] = {}
    energy = cost = 0.0
    for record in records:
        profile = record["profile"]
        for name, value in _step(profile):
            key = f"boxplat.{name}.{record['step']}"
            found[key] = max(found.get(key, 0.0), value) if name.startswith("peak") else found.get(key, 0.0) + value
        energy += (_number(profile, "cpu_joules") + _number(profile, "gpu_joules")) / 3600
        cost += float(record["cost"])
    return {**found, "boxplat.energy_wh": energy, "boxplat.cost": cost} if found else {}


def _step(profile: Mapping[str, object]) -> Iterable[tuple[str, float]]:
    yield "peak_memory_mib", (_number(profile, "memory") + _number(profile, "inherited")) / _MIB
    for name, field, unit in (*_PEAKS, *_SUMS):
        value = _number(profile, field) / unit
        if value or not field.startswith(("vram", "gpu")):
            yield name, value


def _number(profile: Mapping[str, object], field: str) -> float:
    value = profile.get(field)
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else 0.0
