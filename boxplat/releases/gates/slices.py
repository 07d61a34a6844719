"""The gates of slices: no part of the rows may be left behind behind a good mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from boxplat.core.gates import GateConfig
from boxplat.releases.gates.evidence import Evidence
from boxplat.releases.gates.statistics import Interval, estimate, gain, shortage
from boxplat.releases.gates.verdict import Gate, passed, refused, skipped
from boxplat.serving.backends.quality import METRICS
from boxplat.serving.backends.runner import Array

_CLASS = 20


@dataclass(frozen=True)
class Slice:
    """One slice that was judged: its metric, and the gain over the champion where there is one."""

    value: str
    rows: int
    metric: Interval
    gain: Interval | None


def judge_slices(said: GateConfig, seen: Evidence) -> Iterable[Gate]:
    """In each dimension: no slice below the floor, none surely worse than the champion by more than the margin.

    A slice counts when it has enough rows; the interval of the loss is widened for the number of slices (Bonferroni).
    """
    for name in said.slices:
        rule = _rule(said, seen)
        values = seen.held_out.slices.get(name)
        if values is None:
            known = ", ".join(seen.held_out.slices) or "none"
            yield refused(f"slice {name}", rule, f"the data have no slice of this name; they have: {known}")
            continue
        yield _dimension(name, rule, values, said, seen)


def _rule(said: GateConfig, seen: Evidence) -> str:
    up = METRICS[said.metric].higher_is_better
    parts = [f"each at {'least' if up else 'most'} {said.slice_floor:g}"] if said.slice_floor else []
    if seen.champion is not None:
        parts.append(f"none surely {said.slice_margin:g} worse than the champion")
    return ", ".join(parts) or f"{said.metric} of each is told"


def _dimension(name: str, rule: str, values: Array, said: GateConfig, seen: Evidence) -> Gate:
    labels = seen.held_out.labels
    all_values = list(np.unique(values))
    enough = [value for value in all_values if _enough(said, labels[values == value], seen, values == value)]
    few = [str(value) for value in all_values if value not in enough]
    judged = [_measured(value, values == value, len(enough), said, seen) for value in enough]
    note = f"; under {said.slice_rows} rows, or few of a class or group, not judged: {_some(few)}" if few else ""
    numbers: dict[str, Any] = {
        "slices": {
            one.value: {
                "rows": one.rows,
                "value": one.metric.as_list(),
                "gain": one.gain.as_list() if one.gain else None,
            }
            for one in judged
        },
        "too_few": few,
    }
    if not judged:
        give = refused if said.slice_floor or seen.champion is not None else skipped
        return give(f"slice {name}", rule, f"no slice has enough rows{note}", **numbers)
    faults = [fault for one in judged for fault in _faults(one, said)]
    worst = (min if METRICS[said.metric].higher_is_better else max)(judged, key=lambda one: one.metric.value)
    more = f" and {len(faults) - 2} more" if len(faults) > 2 else ""
    found = (
        "; ".join(faults[:2]) + more or f"worst of {len(judged)}: {worst.value} with {worst.metric}, {worst.rows} rows"
    )
    champion = ""
    if worst.gain is not None and not faults:
        up = METRICS[said.metric].higher_is_better
        champion = f"{worst.metric.value - worst.gain.value * (1 if up else -1):.4f}"
    give = refused if faults else passed
    return give(f"slice {name}", rule, found + note, champion, **numbers)


def _enough(said: GateConfig, labels: Array, seen: Evidence, inside: Array) -> bool:
    if len(labels) < said.slice_rows or shortage(said.metric, labels, seen.held_out.groups[inside]):
        return False
    return said.metric != "auc" or min(int((labels > 0.5).sum()), int((labels <= 0.5).sum())) >= _CLASS


def _measured(value: object, inside: Array, slices: int, said: GateConfig, seen: Evidence) -> Slice:
    rows = seen.held_out
    labels, groups, own = rows.labels[inside], rows.groups[inside], seen.candidate.answers[inside]
    better = None
    if seen.champion is not None:
        better = gain(said.metric, labels, own, seen.champion.answers[inside], groups, 1 - 0.05 / slices)
    return Slice(str(value), len(labels), estimate(said.metric, labels, own, groups), better)


def _faults(one: Slice, said: GateConfig) -> Iterable[str]:
    up = METRICS[said.metric].higher_is_better
    short = one.metric.value < said.slice_floor if up else one.metric.value > said.slice_floor
    if said.slice_floor and short:
        yield f"{one.value} with {one.metric}, {one.rows} rows"
    if one.gain is not None and one.gain.high < -said.slice_margin:
        yield f"{one.value} with gain {one.gain.signed()}, {one.rows} rows"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
