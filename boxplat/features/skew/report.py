"""The answer of `box features skew`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from boxplat.core.errors import BoxError, ExitCode

CAUSES = {
    "late": "the row was created after it was served",
    "behind": "the row was there, but not online yet",
    "ahead": "the online store had a row of after the asked moment",
    "ttl": "the row was older than the view's life time, by one of the two",
    "type": "the same but for rounding, or a value that does not fit the declared type",
    "code:definition": "code: the feature was declared anew since the release",
    "code:rewritten": "code: the very row that was served has another value now",
    "code:gone": "code: the row that was served is not among the view's rows any more",
    "code:transformation": "code: the same inputs are transformed to another value now",
    "inputs": "transformed from inputs that differ",
    "unknown": "not told by the log and the rows",
}


@dataclass(frozen=True)
class Example:
    """One prediction of which a feature differs. Times are ISO, UTC."""

    id: str
    row: int
    time: str
    as_of: str
    release: int | None
    served: str | None
    recomputed: str | None
    served_event: str | None
    recomputed_event: str | None
    created: str | None


@dataclass(frozen=True)
class Reason:
    """How many values differ for a cause (a key of `CAUSES`), and the first."""

    cause: str
    count: int
    example: Example


@dataclass(frozen=True)
class Difference:
    """A feature (`view__feature`) of which values differ."""

    feature: str
    compared: int
    count: int
    reasons: tuple[Reason, ...]

    @property
    def share(self) -> float:
        return self.count / self.compared if self.compared else 0.0


@dataclass(frozen=True)
class Report:
    """What was compared and what differs.

    Attributes:
        predictions: that were compared; `silent` others do not say their features.
        features: compared ones.
        unlogged: features of the services that the log does not have, so that they could not be.
        foreign: names in the log that are no features of the services: perhaps those, under another name.
        gone: feature services of the log that the registry does not have, with their predictions.
        limit: share of a feature's values that may differ.
    """

    endpoint: str
    limit: float
    predictions: int = 0
    silent: int = 0
    values: int = 0
    features: int = 0
    services: tuple[str, ...] = ()
    releases: tuple[int, ...] = ()
    differences: tuple[Difference, ...] = ()
    unlogged: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    gone: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """Values that differ."""
        return sum(one.count for one in self.differences)

    @property
    def over(self) -> tuple[str, ...]:
        """Features beyond the limit."""
        return tuple(one.feature for one in self.differences if one.share > self.limit)

    @property
    def passed(self) -> bool:
        """Nothing is beyond the limit, and every service could be compared."""
        return not self.over and not self.gone

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        found = asdict(self)
        for told, one in zip(found["differences"], self.differences, strict=True):
            told["share"] = one.share
        return found | {"count": self.count, "over": self.over, "passed": self.passed}

    def refusal(self) -> BoxError:
        """The error of a report that did not pass."""
        worst = max(self.differences, key=lambda one: one.share, default=None)
        why = f"{', '.join(self.over[:8])}: more than {self.limit:.3%} of the values differ"
        fix = f"box features skew {self.endpoint} --json   (docs/skew.md says what to do about each cause)"
        if worst is None or not self.over:
            why = f"the registry has no feature service {', '.join(self.gone)} any more"
            fix = "declare it again, then: box features apply"
        what = f"features served by {self.endpoint} are not those that are recomputed"
        return BoxError(what, why=why, fix=fix, code=ExitCode.CHECK_FAILED)

    def __str__(self) -> str:
        releases = f" of release {', '.join(map(str, self.releases))}" if self.releases else ""
        lines = [
            f"{self.predictions:,} predictions{releases}, {self.features} features: "
            f"{self.count:,} of {self.values:,} values differ ({self.seconds:.1f} s)"
        ]
        for one in self.differences:
            lines.append(f"{one.feature}: {one.count:,} of {one.compared:,} ({one.share:.2%})")
            lines += [line for reason in one.reasons for line in _shown(reason)]
        if self.unlogged:
            lines.append(f"not in the log, so not compared: {', '.join(self.unlogged)}")
        if self.foreign:
            lines.append(f"in the log, but no feature of the service: {', '.join(self.foreign)}")
        if self.silent:
            lines.append(f"{self.silent:,} predictions do not say their features")
        lines += [f"{rows:,} predictions of {name}, which is not in the registry" for name, rows in self.gone.items()]
        return "\n".join(lines)


def _shown(reason: Reason) -> list[str]:
    one = reason.example
    served, recomputed = (f" (of {event})" if event else "" for event in (one.served_event, one.recomputed_event))
    return [
        f"  {reason.count:,} times {CAUSES[reason.cause]}",
        f"    for example {one.id} row {one.row}, as of {one.as_of}: "
        f"served {one.served}{served}, recomputed {one.recomputed}{recomputed}",
    ]
