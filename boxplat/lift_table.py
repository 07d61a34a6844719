"""The plan of a lift, as a person reads it before agreeing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from boxplat.render import table

if TYPE_CHECKING:
    from boxplat.export.lift import Plan

_SIGNS = {"blocked": "✗", "danger": "!", "note": "·"}
_UNCHANGED = "same"


def plan(found: Plan) -> str:
    """Where it goes, what was found, what is done to which object."""
    target = found.target
    parts = [f"to {target.context} ({target.server}), namespace {target.namespace}, overlay {found.overlay}"]
    findings = list(_findings(found))
    if findings:
        parts.append("\n".join(findings))
    if found.work:
        parts.append("\n".join(f"→ {line}" for line in found.work))
    rows = [(step.action, step.ref.kind, step.ref.name) for step in found.steps if step.action != _UNCHANGED]
    if rows:
        parts.append(table(("ACTION", "KIND", "NAME"), rows))
    parts.append(summary(found))
    return "\n\n".join(parts)


def summary(found: Plan) -> str:
    """How many objects are made, changed, deleted, left."""
    actions = sorted({step.action for step in found.steps})
    return ", ".join(f"{found.count(action)} {action}" for action in actions) or "no objects compared"


def _findings(found: Plan) -> Iterator[str]:
    for finding in sorted(found.findings, key=lambda one: (list(_SIGNS).index(one.level), one.rule)):
        yield f"{_SIGNS[finding.level]} {finding.rule}: {finding.what}"
        if finding.fix:
            yield f"    {finding.fix}"
