"""`box queue` for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxplat.render import ago, duration, size, table

if TYPE_CHECKING:
    from boxplat.core.claims import Capacity, Claim
    from boxplat.runs.queue import Line, Place
    from boxplat.runs.shares import Occupancy

_COLUMNS = ("OWNER", "STATE", "PRIORITY", "CORES", "MEMORY", "GPU", "SINCE", "ESTIMATE", "WHY")


def text(line: Line) -> str:
    """What there is, then a row for everything that has some of it or waits for it."""
    head = _machine(line.capacity)
    if not line.places:
        return f"{head}\nnothing runs and nothing waits"
    return f"{head}\n\n{table(_COLUMNS, [_row(place, line.at) for place in line.places])}"


def machine(found: Occupancy) -> str:
    """A row for each owner's part of the cores, the memory and each device, and for what is free."""
    rows: list[tuple[object, ...]] = []
    for share in found.shares:
        amount = _cores if share.kind == "cores" else _bytes
        rows += [
            (share.name, part.owner, amount(part.used), amount(part.promised) if part.promised else None)
            for part in share.parts
        ]
        rows.append((share.name, "free", amount(share.free), None))
    return table(("WHAT", "OWNER", "HAS", "PROMISED TOO"), rows)


def _cores(count: float) -> str | None:
    return f"{count:g}"


def _bytes(count: float) -> str | None:
    return size(round(count))


def _machine(capacity: Capacity) -> str:
    parts = [f"{capacity.cores:g} cores", f"{size(capacity.memory)} of memory"]
    if capacity.foreign:
        parts[-1] += f" ({size(capacity.foreign)} taken by processes without a lease)"
    for device in capacity.devices:
        taken = f" ({size(device.foreign)} taken by others)" if device.foreign else ""
        parts.append(f"{device.name} with {size(device.memory)}{taken}")
    return "to claim: " + ", ".join(parts)


def _row(place: Place, now: float) -> tuple[object, ...]:
    claim = place.claim
    return (
        place.owner,
        place.state,
        place.priority,
        f"{claim.cores:g}" if claim.cores else None,
        size(claim.memory) if claim.memory else None,
        _gpu(claim),
        ago(place.since, now),
        _estimate(place, now),
        place.why,
    )


def _gpu(claim: Claim) -> str | None:
    if not claim.gpus:
        return None
    each = f" x {size(claim.vram)}" if claim.vram else " whole" if claim.gpus >= 1 else ""
    return f"{claim.gpus:g}{each}"


def _estimate(place: Place, now: float) -> str | None:
    """Until a lease is thought to end; for what waits, until it may start."""
    if place.estimate is None or place.estimate <= now:
        return None
    left = duration(place.estimate - now)
    return f"ends in {left}" if place.state == "running" else f"starts in {left}"
