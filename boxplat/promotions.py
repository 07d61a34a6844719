"""Promotions, and what came of them, as text."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.core.registry import Judged, Registered, Serving, Standing
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


def status(found: Iterable[Registered]) -> str:
    """Every version in a line: its metric, aliases, gates, back end, and where it serves."""
    lines = [_standing(model, one) for model in found for one in model.versions]
    return table(("MODEL", "VERSION", "ALIASES", "METRIC", "GATES", "BACK END", "SERVES", "RUN"), lines)


def _standing(model: Registered, one: Standing) -> tuple[object, ...]:
    value = one.version.metrics.get(model.metric)
    return (
        model.name,
        one.version.version,
        " ".join(one.version.aliases),
        None if value is None else f"{model.metric} {value:.4g}",
        gates(one.judged),
        one.backend,
        ", ".join(serves(place) for place in one.serving),
        one.run,
    )


def gates(judged: Judged | None) -> str:
    """`11 passed`, `7 of 11 refused (forced)`; empty where nothing was ever judged."""
    if judged is None:
        return ""
    refused = len(judged.of("refused"))
    words = f"{refused} of {len(judged.gates)} refused" if refused else f"{len(judged.of('passed'))} passed"
    return (words if judged.gates else "not judged") + " (forced)" * judged.forced


def serves(place: Serving) -> str:
    """`delay@2 90 %`, `delay@3 shadow`."""
    return f"{place.endpoint}@{place.release} {'shadow' if place.shadow else f'{place.weight} %'}"
