"""The gates: pure functions of the declared settings and the evidence. Each states its rule and its numbers."""

from __future__ import annotations

import statistics as summary
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from boxplat.core.gates import GateConfig
from boxplat.releases.gates.evidence import Evidence
from boxplat.releases.gates.slices import judge_slices
from boxplat.releases.gates.statistics import Interval, calibration_error, estimate, gain, shortage
from boxplat.releases.gates.verdict import Gate, passed, refused, skipped
from boxplat.serving.backends.quality import METRICS
from boxplat.serving.backends.runner import Array

Rule = Callable[[GateConfig, Evidence], Iterable[Gate]]
_MIB = 2**20


def metric(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """Not worse than the champion: the 95 % interval of the gain lies above the margin, so that rows too few to tell
    refuse. Without a champion: better than the constant answer, by the same interval."""
    rows, name = seen.held_out, said.metric
    old = constant(rows.labels, seen.candidate.answers) if seen.champion is None else seen.champion.answers
    found = gain(name, rows.labels, seen.candidate.answers, old, rows.groups)
    own = estimate(name, rows.labels, seen.candidate.answers, rows.groups)
    other = estimate(name, rows.labels, old, rows.groups)
    margin = 0.0 if seen.champion is None or said.superior else -said.margin or 0.0
    against = "the constant answer" if seen.champion is None else "the champion"
    rule = f"gain over {against} surely above {margin:g}"
    numbers: dict[str, Any] = {
        "metric": name,
        "value": own.as_list(),
        "against": other.as_list(),
        "gain": found.as_list(),
    }
    words = f"{name} {own.value:.4f}, gain {found.signed()}"
    champion = f"{other.value:.4f}" if seen.champion else f"constant {other.value:.4f}"
    short = shortage(name, rows.labels, rows.groups)
    if not short and (found.low > margin if margin == 0 else found.low >= margin):
        sure = "better" if found.low > 0 else "not worse"
        yield passed("metric", rule, f"{words}: {sure}", champion, **numbers)
        return
    yield refused("metric", rule, f"{words}: {short or _doubt(found, margin)}", champion, **numbers)


def _doubt(found: Interval, margin: float) -> str:
    if found.value < margin:
        return "worse"
    return "not better" if found.value <= margin else "too few rows to tell"


def constant(labels: Array, answers: Array) -> Array:
    """The best answer that is the same for every row: the mean label, or the commonest class of [N, C]."""
    if answers.ndim == 1:
        return np.full(len(labels), float(labels.mean()))
    classes, counts = np.unique(labels, return_counts=True)
    found = np.zeros(answers.shape)
    found[:, int(classes[counts.argmax()])] = 1
    return found


def bars(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """Each metric of `require` reaches its bar."""
    rows = seen.held_out
    for name, text in said.require.items():
        bar, up = float(text), METRICS[name].higher_is_better
        found = estimate(name, rows.labels, seen.candidate.answers, rows.groups)
        rule = f"at {'least' if up else 'most'} {bar:g}"
        short = shortage(name, rows.labels, rows.groups)
        give = passed if not short and (found.value >= bar if up else found.value <= bar) else refused
        champion = ""
        if seen.champion is not None:
            champion = f"{METRICS[name].measure(rows.labels, seen.champion.answers):.4f}"
        words = f"{found}: {short}" if short else str(found)
        yield give(f"require {name}", rule, words, champion, value=found.as_list(), bar=bar)


def calibration(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """The expected calibration error is at most the declared one."""
    if not said.calibration_error:
        return
    rule = f"ECE at most {said.calibration_error:g}"
    rows, answers = seen.held_out, seen.candidate.answers
    if answers.ndim != 1 or answers.min() < 0 or answers.max() > 1:
        yield refused("calibration", rule, "its answers are no probabilities")
        return
    found = calibration_error(rows.labels, answers, rows.groups)
    champion = ""
    if seen.champion is not None:
        champion = f"{calibration_error(rows.labels, seen.champion.answers, rows.groups).value:.4f}"
    short = shortage("brier", rows.labels, rows.groups)
    give = passed if not short and found.value <= said.calibration_error else refused
    words = f"{found}: {short}" if short else str(found)
    yield give("calibration", rule, words, champion, value=found.as_list(), bar=said.calibration_error)


def latency(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """The median call is at most so long, and at most so many times the champion's, measured in turns."""
    own = seen.candidate
    rows = f"{said.latency_rows} row{'s' * (said.latency_rows != 1)}"
    took = summary.median(own.milliseconds)
    span = f"{took:.2f} [{min(own.milliseconds):.2f}, {max(own.milliseconds):.2f}] ms on {own.backend}"
    before = None if seen.champion is None else summary.median(seen.champion.milliseconds)
    champion = "" if before is None else f"{before:.2f} ms"
    numbers = {"milliseconds": list(own.milliseconds), "backend": own.backend}
    if said.latency_ms:
        give = passed if took <= said.latency_ms else refused
        yield give("latency", f"{rows} in at most {said.latency_ms:g} ms", span, champion, **numbers)
    if said.latency_ratio:
        rule = f"{rows} in at most {said.latency_ratio:g} times the champion's"
        if seen.champion is None or before is None:
            yield skipped("latency ratio", rule, "there is no champion yet")
            return
        ratio = summary.median(a / b for a, b in zip(own.milliseconds, seen.champion.milliseconds, strict=True))
        give = passed if ratio <= said.latency_ratio else refused
        yield give("latency ratio", rule, f"{ratio:.2f} times", champion, ratio=ratio)


def size(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """The files that it is served from are at most so large."""
    if not said.size_mib:
        return
    found = seen.candidate.size / _MIB
    champion = "" if seen.champion is None else f"{seen.champion.size / _MIB:.2f} MiB"
    give = passed if found <= said.size_mib else refused
    yield give("size", f"at most {said.size_mib:g} MiB", f"{found:.2f} MiB", champion, bytes=seen.candidate.size)


def signature(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """It takes and gives what the champion does, and reads the features that its endpoints are declared with."""
    if not said.signature:
        return
    own, old = seen.candidate, seen.champion
    rule = "that of the champion and its endpoints"
    found = f"{', '.join(own.takes) or '?'} -> {', '.join(own.gives)}"
    faults = [
        f"it was made for the features {own.feature_service}, the endpoint has {service}"
        for service in seen.expected_services
        if own.feature_service not in ("", service)
    ]
    if old is not None:
        faults += [
            f"it {verb} {', '.join(new)}, the champion {', '.join(was)}"
            for verb, new, was in (("takes", own.takes, old.takes), ("gives", own.gives, old.gives))
            if new != was
        ]
    if faults:
        yield refused("signature", rule, "; ".join(faults))
    elif old is None and not seen.expected_services:
        yield skipped("signature", rule, f"there is no champion yet: {found}")
    else:
        yield passed("signature", rule, found)


def leakage(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """No column that it was trained on knew the future."""
    if not said.leakage:
        return
    rule = "no column it was trained on knows the future"
    found = seen.leakage
    if found is None or found.problem:
        yield refused("leakage", rule, found.problem if found else "its training table was not audited")
        return
    words = [f"{', '.join(columns)}: {kind}" for kind, columns in found.faults.items()]
    if found.other:
        words.append(found.other)
    numbers: dict[str, Any] = {"table": found.table, "faults": dict(found.faults), "report": found.report}
    if words:
        yield refused("leakage", rule, f"{'; '.join(words)} ({found.table})", **numbers)
        return
    unread = f"; at fault, but not read: {', '.join(found.ignored)}" if found.ignored else ""
    yield passed("leakage", rule, f"none in {found.table}{unread}", **numbers)


RULES: tuple[Rule, ...] = (metric, bars, judge_slices, calibration, latency, size, signature, leakage)


def judge(said: GateConfig, seen: Evidence) -> tuple[Gate, ...]:
    """Every gate that is declared."""
    return tuple(gate for rule in RULES for gate in rule(said, seen))
