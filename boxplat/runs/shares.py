"""Who has what of the machine: the cores, the memory and each device, divided among their owners. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from boxplat.core.claims import Device
from boxplat.core.model import ServiceStatus
from boxplat.runs.queue import Line, Place
from boxplat.runs.space import share

BOX = "box"
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Part:
    """What one owner has: `used` now, and `promised` besides, which was granted and is not used yet.

    The owner is a run (`run/12`), a process of an endpoint (`service/delay@7`), `box` (its own servers, which hold no
    lease) or `others`.
    """

    owner: str
    used: float
    promised: float = 0.0


@dataclass(frozen=True, slots=True)
class Share:
    """Something that can be claimed, and its parts, the largest first and others last.

    `kind` is cores, memory or gpu. `total`, `free` and the parts are cores, or bytes. Of a device `index` is the GPU's
    number in NVML, and `slice` tells a MIG slice of it.
    """

    kind: str
    name: str
    total: float
    free: float
    parts: tuple[Part, ...]
    index: int | None = None
    slice: bool = False


@dataclass(frozen=True, slots=True)
class Occupancy:
    """`box queue machine`: the line of runs, and who has what meanwhile."""

    line: Line
    shares: tuple[Share, ...]


def shares(line: Line, services: Iterable[ServiceStatus]) -> tuple[Share, ...]:
    """Cores, memory, then each device.

    Args:
        services: the box's own, with the memory that each has; one with a lease is in the line already.
    """
    return (_cores(line), _memory(line, services), *(_device(device, line) for device in line.capacity.devices))


def _granted(line: Line) -> list[Place]:
    return [place for place in line.places if place.state == "running"]


def owner_of(place: Place) -> str:
    """Whose part it is: all tasks of a run have one together."""
    return place.owner if place.run is None else f"run/{place.run}"


def _cores(line: Line) -> Share:
    """Cores are lent and not measured: the kernel divides them."""
    parts = [Part(owner_of(place), place.claim.cores) for place in _granted(line)]
    return _share("cores", "cores", line.capacity.cores, parts)


def _memory(line: Line, services: Iterable[ServiceStatus]) -> Share:
    granted = _granted(line)
    parts = [_part(place, place.used, place.claim.memory) for place in granted]
    leased = {place.owner.removeprefix("service/").partition("@")[0] for place in granted if place.run is None}
    servers = sum(service.memory_bytes or 0 for service in services if service.name not in leased)
    # Their shared pages are counted in each of them, so that the sum may exceed what was measured.
    own = min(servers, line.capacity.foreign)
    parts += [Part(BOX, own), Part(OTHERS, line.capacity.foreign - own)]
    return _share("memory", "memory", line.capacity.memory, parts)


def _device(device: Device, line: Line) -> Share:
    granted = [place for place in _granted(line) if device.uuid in place.devices]
    # Of one that has several devices only the sum is known.
    parts = [
        _part(place, place.vram_used / max(len(place.devices), 1), share(place.claim, device)) for place in granted
    ]
    parts.append(Part(OTHERS, device.foreign))
    return replace(_share("gpu", device.name, device.memory, parts), index=device.index, slice=device.slice)


def _share(kind: str, name: str, total: float, parts: Sequence[Part]) -> Share:
    merged = _merged(parts)
    return Share(kind, name, total, max(0.0, total - sum(part.used + part.promised for part in merged)), merged)


def _part(place: Place, used: float, claimed: float) -> Part:
    return Part(owner_of(place), used, max(0.0, claimed - used))


def _merged(parts: Sequence[Part]) -> tuple[Part, ...]:
    """One part for each owner that has something."""
    found: dict[str, Part] = {}
    for part in parts:
        before = found.get(part.owner, Part(part.owner, 0.0))
        found[part.owner] = Part(part.owner, before.used + part.used, before.promised + part.promised)
    there = [part for part in found.values() if part.used + part.promised > 0]
    return tuple(sorted(there, key=lambda part: (part.owner == OTHERS, -part.used - part.promised, part.owner)))
