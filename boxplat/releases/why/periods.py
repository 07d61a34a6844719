"""When each release was live, and with what share of the requests, as the record has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxplat.core.state.chain import Entry

TRAFFIC = "traffic.set"


@dataclass(frozen=True, slots=True)
class Period:
    """From one change of an endpoint's traffic to the next (`end` None: until now).

    `weights` is percent by release number, `entry` the number of the entry that began it.
    """

    begin: float
    end: float | None
    weights: Mapping[int, int]
    shadow: int | None
    by: str
    kind: str
    reason: str
    entry: int


@dataclass(frozen=True, slots=True)
class Share:
    """A time in which a release had the same share of the requests (percent), or was the shadow."""

    begin: float
    end: float | None
    weight: int
    shadow: bool
    record: tuple[int, ...]


def moment(entry: Entry) -> float:
    """When it happened: entries that tell of what was before the record have a time of their own."""
    when = entry.data.get("when")
    return float(when) if isinstance(when, int | float) else entry.at


def periods(entries: Iterable[Entry]) -> list[Period]:
    """Of one endpoint, the oldest first."""
    changes = [entry for entry in entries if entry.kind == TRAFFIC]
    if not changes:
        return []
    ends = [moment(entry) for entry in changes[1:]]
    return [_period(entry, end) for entry, end in zip(changes, [*ends, None], strict=True)]


def _period(entry: Entry, end: float | None) -> Period:
    said = entry.data
    weights = {int(number): int(weight) for number, weight in said.get("weights", {}).items()}
    return Period(
        begin=moment(entry),
        end=end,
        weights=weights,
        shadow=_number(said.get("shadow")),
        by=entry.by,
        kind=str(said.get("kind", "")),
        reason=str(said.get("reason", "")),
        entry=entry.number,
    )


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int) else None


def shares(found: Sequence[Period], release: int) -> list[Share]:
    """The times of one release, the oldest first; those in which nothing changed for it are one."""
    made: list[Share] = []
    for period in found:
        weight, shadow = period.weights.get(release, 0), period.shadow == release
        if not weight and not shadow:
            continue
        last = made[-1] if made else None
        if last and last.end == period.begin and (last.weight, last.shadow) == (weight, shadow):
            made[-1] = Share(last.begin, period.end, weight, shadow, (*last.record, period.entry))
        else:
            made.append(Share(period.begin, period.end, weight, shadow, (period.entry,)))
    return made


def at(found: Sequence[Period], when: float) -> Period | None:
    """The period that a moment was in."""
    return next((period for period in reversed(found) if period.begin <= when), None)
