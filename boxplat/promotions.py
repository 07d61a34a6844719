"""A promotion as text."""

from __future__ import annotations

from boxplat.releases.promotion import Promotion
from boxplat.render import table


def text(found: Promotion) -> str:
    """Every gate with its outcome, and what became of the alias."""
    judged = found.judgement
    head = f"{found.model} version {found.version}, to {found.alias} ({_beside(found.former)})"
    parts = [head]
    if judged is not None:
        left = f", {judged.left_out} left out: seen in training" if judged.left_out else ""
        groups = f" in {judged.groups} groups" if judged.groups != judged.rows else ""
        parts = [f"{head}\n{judged.rows} held-out rows{groups}{left} ({judged.data}, {judged.seconds:.0f} s)"]
        lines = [(gate.name, gate.outcome, gate.rule, gate.champion, gate.found) for gate in judged.gates]
        parts.append(table(("GATE", "OUTCOME", "RULE", "CHAMPION", "FOUND"), lines))
    elif found.unjudged:
        parts.append(f"not judged: {found.unjudged}")
    parts.append(_became(found))
    return "\n\n".join(parts)


def _beside(former: int | None) -> str:
    return "nothing has it yet" if former is None else f"now version {former}"


def _became(found: Promotion) -> str:
    if found.moved:
        lines = [f"{found.alias} of {found.model} is version {found.version} now" + (" (forced)" * found.forced)]
    elif found.former == found.version:
        lines = [f"{found.alias} of {found.model} is version {found.version} already"]
    else:
        lines = [_unmoved(found)]
    lines += [f"{endpoint} serves it: release {number}" for endpoint, number in found.releases.items()]
    lines += [f"{endpoint} follows it, but is not deployed: box deploy {endpoint}" for endpoint in found.waiting]
    return "\n".join(lines)


def _unmoved(found: Promotion) -> str:
    if found.refused:
        return "refused"
    if found.judgement is None:
        return "nothing was judged, and nothing was changed (dry run)"
    verdict = "the gates refuse it, it would be forced" if found.forced else "the gates let it through"
    return f"{verdict}; nothing was changed (dry run)"
