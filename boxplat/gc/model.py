"""The nouns of freeing disk: things that may go, limits, a plan, and what came of it. Sizes are bytes on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from boxplat.core.sizes import age_of, size_of

ARTIFACTS, FOLDERS, TRACKING = "artifacts", "run folders", "tracking"
BENTOS, LOGS, PREDICTIONS, FEATURES, CACHES = "Bentos", "logs", "predictions", "features", "caches"
# A blob that several runs may name: its flow, and its name.
Blob = tuple[str, str]


class Value(IntEnum):
    """What a thing is worth; what is worth least goes first, and the oldest of what is worth the same."""

    NONE = 0
    LOG = 1
    FAILED = 2
    BENTO = 3
    RUN = 4


@dataclass(frozen=True, slots=True)
class Item:
    """A thing that may go.

    `parts` are bytes by kind that it alone takes; `blobs` it shares. `at` is when it was of use last (seconds since the
    epoch). It goes only after the items named in `after`. `data` says what to delete.
    """

    subject: str
    kind: str
    value: Value
    at: float
    parts: Mapping[str, int] = field(default_factory=dict)
    blobs: frozenset[Blob] = frozenset()
    after: frozenset[str] = frozenset()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked for: at most `max_size` bytes, nothing that is older than `older_than` seconds.

    The newest `keep` runs of each flow and releases of each endpoint stay. `models`: versions without alias that were
    never released may go with their runs.
    """

    max_size: int | None = None
    older_than: float | None = None
    keep: int = 3
    models: bool = False

    @classmethod
    def of(cls, max_size: str | None, older_than: str | None, keep: int, models: bool) -> Limits:
        """Limits as they are typed: `20G`, `30d`.

        Raises:
            BoxError: no size, or no age (exit code 2).
        """
        size, age = size_of(max_size) if max_size else None, age_of(older_than) if older_than else None
        return cls(size, age, keep, models)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go, in the order in which it goes.

    `parts` are bytes by kind, `counts` the things by kind; `size` is all of the box now. `kept` tells for how many
    things each reason to keep them holds, `notes` what could not be looked at now.
    """

    chosen: tuple[Item, ...]
    parts: Mapping[str, int]
    counts: Mapping[str, int]
    size: int
    kept: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan and, unless it was only looked at, the size of the box afterwards; `left` is what is still to be done."""

    plan: Plan
    after: int | None = None
    left: tuple[str, ...] = ()

    @property
    def freed(self) -> int | None:
        return None if self.after is None else self.plan.size - self.after
