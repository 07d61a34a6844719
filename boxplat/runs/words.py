"""Why a claim waits, and why one can never be granted, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from boxplat.core.claims import Capacity, Claim, Lease, Waiting
from boxplat.runs.space import Space, count, share, whole

_NAMED = 2
_GIB = 2**30
_NOTEWORTHY = 0.05


def size(amount: float) -> str:
    """Bytes for people."""
    return f"{amount / _GIB:.1f} GiB" if amount >= _GIB else f"{amount / 2**20:.0f} MiB"


def passing(row: Waiting, first: Waiting) -> str:
    """Of one that would fit, but keep another waiting."""
    return f"would fit, but {first.owner} is before {row.owner} and would start later"


def reason(claim: Claim, capacity: Capacity, leases: Sequence[Lease], space: Space) -> str:
    """What is missing now, and who has it. `space` is what is left for this claim."""
    if claim.cores and claim.cores > space.cores + 1e-6:
        who = _holders(leases, lambda lease: lease.claim.cores, lambda cores: f"{cores:g}")
        return f"needs {claim.cores:g} core(s), {max(0.0, space.cores):g} of {capacity.cores:g} are free{_have(who)}"
    if claim.memory and claim.memory > space.memory:
        who = _holders(leases, lambda lease: max(lease.claim.memory, lease.used), size)
        if capacity.foreign > _NOTEWORTHY * capacity.memory:
            who.append(f"processes without a lease {size(capacity.foreign)}")
        left = size(max(0, space.memory))
        return f"needs {size(claim.memory)} of memory, {left} of {size(capacity.memory)} are free{_have(who)}"
    return _devices(claim, capacity, leases, space)


def never(capacity: Capacity, claim: Claim) -> str:
    """Why a claim cannot be granted even when nothing else runs; empty where it can."""
    if claim.cores > capacity.cores:
        return f"asks for {claim.cores:g} cores; at most {capacity.cores:g} can be claimed here"
    if claim.memory > capacity.memory:
        return f"asks for {size(claim.memory)} of memory; at most {size(capacity.memory)} can be claimed here"
    if not count(claim):
        return ""
    if not capacity.devices:
        return f"asks for {claim.gpus:g} GPU(s); there is none here"
    usable = [device for device in capacity.devices if not device.slice or count(claim) == 1]
    if len(usable) < count(claim):
        what = "GPU(s)" if usable or count(claim) > len(capacity.devices) else "GPU; a process can use one MIG slice"
        return f"asks for {claim.gpus:g} GPUs; there are {len(usable) or len(capacity.devices)} {what} here"
    largest = sorted((device.memory for device in usable), reverse=True)[: count(claim)]
    if claim.vram > largest[-1]:
        return f"asks for {size(claim.vram)} of device memory; {size(largest[-1])} are the most here"
    return ""


def _devices(claim: Claim, capacity: Capacity, leases: Sequence[Lease], space: Space) -> str:
    left = ", ".join(
        f"{size(max(0, space.vram[device.uuid]))} of {size(device.memory)} on {device.name}"
        for device in capacity.devices
    )
    wanted = f"{count(claim)} whole GPU(s)" if whole(claim) else f"{size(_share(claim, capacity))} of device memory"
    who = _holders((lease for lease in leases if lease.devices), lambda lease: _vram(lease, capacity), size)
    foreign = sum(device.foreign for device in capacity.devices)
    if foreign > _NOTEWORTHY * sum(device.memory for device in capacity.devices):
        who.append(f"processes without a lease {size(foreign)}")
    return f"needs {wanted}, free: {left or 'no GPU'}{_have(who)}"


def _share(claim: Claim, capacity: Capacity) -> int:
    return max((share(claim, device) for device in capacity.devices), default=claim.vram)


def _vram(lease: Lease, capacity: Capacity) -> int:
    return sum(share(lease.claim, device) for device in capacity.devices if device.uuid in lease.devices)


def _holders(leases: Iterable[Lease], of: Callable[[Lease], float], write: Callable[[float], str]) -> list[str]:
    """The largest holders of something, the others as one."""
    held = sorted(((of(lease), lease.owner) for lease in leases if of(lease)), key=lambda one: (-one[0], one[1]))
    named = [f"{owner} has {write(amount)}" for amount, owner in held[:_NAMED]]
    rest = held[_NAMED:]
    return [*named, f"{len(rest)} more {write(sum(amount for amount, _ in rest))}"] if rest else named


def _have(who: Sequence[str]) -> str:
    return f"; {', '.join(who)}" if who else ""
