"""Data and disk as text: datasets of a run, what `box gc` would free and has freed, pins."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.core.model import Dataset
from boxplat.core.state.disposal import Pin
from boxplat.gc import Outcome, Plan
from boxplat.render import clock, size, table

_DIGITS = 16


def datasets(rows: Iterable[Dataset]) -> str:
    """What a run read and wrote."""
    return table(
        ("DATA", "NAME", "DIGEST", "FILES", "SIZE", "STEP", "NOTE"),
        [
            (one.way, one.name, one.digest[:_DIGITS], one.files or None, size(one.bytes or None), one.step, one.note)
            for one in rows
        ],
    )


def plan(found: Plan) -> str:
    """What would go by kind, and why the rest stays."""
    kinds = sorted({*found.parts, *found.counts}, key=lambda kind: -found.parts.get(kind, 0))
    rows = [(kind, found.counts.get(kind), size(found.parts.get(kind, 0))) for kind in kinds]
    lines = [table(("KIND", "THINGS", "SIZE"), [*rows, ("all", len(found.chosen), size(found.bytes))])]
    lines.append(f"\nthe box takes {size(found.size)}; without these {size(found.size - found.bytes)}")
    if found.kept:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(found.kept.items(), key=lambda one: -one[1]))
        lines.append(f"kept: {reasons}")
    return "\n".join([*lines, *(f"! {note}" for note in found.notes)])


def outcome(found: Outcome) -> str:
    """What was freed really."""
    lines = [
        f"freed {size(max(0, found.freed or 0))} (said {size(found.plan.bytes)}); the box takes {size(found.after)}"
    ]
    return "\n".join([*lines, *(f"! left for the next box gc: {one}" for one in found.left)])


def pins(rows: Iterable[Pin]) -> str:
    """What box gc leaves alone."""
    return table(("PINNED", "SINCE", "BY"), [(one.subject, clock(one.at), one.by) for one in rows])
