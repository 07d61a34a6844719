"""What the gates judge: answers of both versions to the same rows, and what was measured of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from boxplat.serving.backends.runner import Array


@dataclass(frozen=True)
class HeldOut:
    """N labelled rows that neither version was trained on.

    `labels` [N]; `groups` [N], equal where rows are not independent; `slices`: name -> value of each row [N];
    `times` [N], the rows' decision times in seconds since the epoch, or None; `left_out` rows were dropped, because
    they lie before the end of a version's training data; `origin`: where the rows come from, in words.
    """

    labels: Array
    groups: Array
    slices: Mapping[str, Array]
    origin: str
    times: Array | None = None
    left_out: int = 0

    def take(self, kept: Array) -> HeldOut:
        """The rows of a mask; the others count as left out."""
        return replace(
            self,
            labels=self.labels[kept],
            groups=self.groups[kept],
            slices={name: values[kept] for name, values in self.slices.items()},
            times=None if self.times is None else self.times[kept],
            left_out=self.left_out + int((~kept).sum()),
        )


@dataclass(frozen=True)
class Shown:
    """What one version showed.

    `answers`: [N] (or [N, C]) to the held-out rows; `milliseconds`: a call's median in each turn; `size`: bytes of the
    files it is served from; `takes` and `gives`: its inputs and outputs in words; `backend`: what it ran on;
    `feature_service`: what its tag of that name says.
    """

    version: int
    answers: Array
    milliseconds: tuple[float, ...]
    size: int
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    backend: str = "eager"
    feature_service: str = ""


@dataclass(frozen=True)
class Leakage:
    """The audit of the table that a version was trained on.

    `problem`: why it could not be audited, in words; else `faults`: the columns that the model reads and that are
    refused, by kind of fault; `ignored` columns are at fault too but the model does not read them.
    """

    table: str = ""
    problem: str = ""
    faults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    other: str = ""
    report: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that the gates may look at. `champion` is None where there is none yet; `expected_service`: the feature
    services of the endpoints that would serve the version."""

    held_out: HeldOut
    candidate: Shown
    champion: Shown | None
    leakage: Leakage | None = None
    expected_services: tuple[str, ...] = ()
