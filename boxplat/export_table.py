"""`box export --check` and `--diff` for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from boxplat.render import table

if TYPE_CHECKING:
    from boxplat.export.check import Report
    from boxplat.export.diff import Change
    from boxplat.export.verify.proof import Proof


def report(found: Report) -> str:
    """The faults, or that there are none, and how much of the project is carried."""
    parts = []
    if found.faults:
        parts.append(table(("RULE", "OF", "WHERE", "WHAT"), [(f.rule, f.of, f.where, f.what) for f in found.faults]))
    counted = Counter(row.gap for row in found.parity)
    left = sum(bool(row.why_not) for row in found.parity)
    versions = f", Kubernetes {found.versions[0]} to {found.versions[-1]}" if found.versions else ""
    parts.append(
        f"{len(found.faults)} faults in {found.documents} manifests of {', '.join(found.overlays)}{versions}\n"
        f"parity: {len(found.parity)} declarations, {len(found.parity) - left - counted[True]} carried, "
        f"{left} not carried with a reason, {counted[True]} lost"
    )
    parts += [f"not checked: {note}" for note in found.unchecked]
    return "\n".join(parts)


def changes(found: Sequence[Change]) -> str:
    """A row for each difference between two exports."""
    rows = [(c.of, c.where, c.before, c.after, " ".join(c.overlays)) for c in found]
    return table(("OF", "WHERE", "BEFORE", "NOW", "OVERLAYS"), rows) if rows else "no difference"


def proof(found: Proof) -> str:
    """A row for each flow that was run and each server that was asked, and one for everything that is not the same."""
    kinds = ("identical", "equal", "within tolerance", "declared to vary", "different")
    rows = []
    for flow in found.flows:
        counted = Counter(finding.verdict for finding in flow.findings)
        seconds = sum(node.seconds for node in flow.pods)
        rows.append((flow.flow, flow.local, len(flow.pods), f"{seconds:.0f}", *(counted[kind] for kind in kinds)))
    if found.data:
        counted = Counter(finding.verdict for finding in found.data)
        rows.append(("tables of rows", "", "", "", *(counted[kind] for kind in kinds)))
    for one in found.served:
        counted = Counter(finding.verdict for finding in one.findings)
        rows.append((one.of, one.local, 1, f"{one.seconds:.0f}", *(counted[kind] for kind in kinds)))
    headers = ("FLOW OR SERVER", "LOCAL", "PODS", "SECONDS", "IDENTICAL", "EQUAL", "CLOSE", "VARY", "DIFFERENT")
    parts = [table(headers, rows)]
    unlike = [(flow.flow, one) for flow in found.flows for one in flow.findings if one.why]
    unlike += [("", one) for one in found.data if one.why]
    unlike += [(one.of, finding) for one in found.served for finding in one.findings if finding.why]
    if unlike:
        said = [(flow, one.task, one.name, one.verdict, one.why.splitlines()[-1]) for flow, one in unlike]
        parts.append(table(("FLOW", "TASK", "WHAT", "VERDICT", "WHY"), said))
    parts.append(f"{found.differences} differences")
    return "\n\n".join(parts)
