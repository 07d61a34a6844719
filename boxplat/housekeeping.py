"""How a box begins, and the verbs that free its disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.groups import Told, silent

if TYPE_CHECKING:
    from boxplat.beginning import Step
    from boxplat.core.state import StateStore
    from boxplat.core.state.disposal import Pin
    from boxplat.gc import Outcome


class Housekeeping(ABC):
    """What `Box` has of them; it has the project, its settings and its state."""

    paths: Paths

    @property
    @abstractmethod
    def settings(self) -> Config: ...

    @property
    @abstractmethod
    def state(self) -> StateStore: ...

    @property
    @abstractmethod
    def by(self) -> str: ...

    def beginning(self) -> tuple[Step, ...]:
        """The first steps in a new box and how far this one has come; nothing once a prediction was made."""
        from boxplat.beginning import steps

        return steps(self.paths, self.settings, self.state)

    def gc(
        self,
        max_size: str | None = None,
        older_than: str | None = None,
        keep: int = 3,
        models: bool = False,
        dry_run: bool = False,
        told: Told = silent,
    ) -> Outcome:
        """Free what is of no use any more; never what is live, cited by the record, or pinned.

        Args:
            max_size: of the box ("20G"): the oldest and least valuable goes. older_than: an age ("30d").
            keep: newest runs of each flow and releases of each endpoint that stay.
            models: also versions without alias that were never released.
        """
        from boxplat.gc import Limits
        from boxplat.gc.verb import gc

        limits = Limits.of(max_size, older_than, keep, models)
        return gc(self.state, self.paths, self.settings, limits, None if dry_run else self.by, told)

    def pin(self, subject: str | None = None) -> list[Pin]:
        """Keep a run (`12`) or a model version (`delay/3`) from `gc`; returns all that is pinned."""
        from boxplat.gc.pins import pin

        return pin(self.state, self.paths, subject, self.by)

    def unpin(self, subject: str) -> list[Pin]:
        """Take a pin away; returns what is still pinned."""
        from boxplat.gc.pins import unpin

        return unpin(self.state, subject, self.by)
