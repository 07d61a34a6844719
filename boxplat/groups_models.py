"""`box models …` as methods."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from boxplat.groups import Told, silent

if TYPE_CHECKING:
    from boxplat.box import Box
    from boxplat.core.model import ModelVersion
    from boxplat.core.registry import Registered
    from boxplat.releases.calibration import Calibration, Wanted
    from boxplat.releases.promotion import Promotion, Step
    from boxplat.releases.standing import Standings
    from boxplat.releases.why import History


class Models:
    """`box models …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    @cached_property
    def _standings(self) -> Standings:
        from boxplat.releases.standing import Standings

        return Standings(self._box.state, self._box.paths, self._box.settings)

    def status(self) -> tuple[Registered, ...]:
        """Every registered model: metrics, gates, aliases, back ends, and where each version serves. Asks no server."""
        return self._standings.read()

    def show(self, name: str) -> list[ModelVersion]:
        """The versions of one registered model."""
        from boxplat.releases.models import versions

        return versions(self._box.state, name)

    def list(self) -> list[ModelVersion]:
        """Every version of every registered model, newest first."""
        from boxplat.releases.models import versions

        return versions(self._box.state)

    def calibrate(self, wanted: Wanted, told: Told = silent) -> Calibration:
        """Measure the back ends of a model version and record the fastest that answers the same on it."""
        from boxplat.releases.calibration import calibrate

        box = self._box
        return calibrate(box.state, box.paths, box.settings, wanted, box.by, told)

    def promote(self, wanted: Step, told: Told = silent) -> Promotion:
        """Judge a version by its gates; move the alias and deploy the endpoints that follow it if they let it through.

        A refused version is no error here: `refused` of what is returned says so, and `judgement` why.
        """
        from boxplat.releases.promotion import promote

        box = self._box
        return promote(box.state, box.paths, box.settings, wanted, box.by, told)

    def rollback(
        self, name: str, alias: str = "champion", reason: str = "", timeout: float = 180.0, told: Told = silent
    ) -> Promotion:
        """Move an alias back to the version that had it before, and deploy the endpoints that follow it."""
        from boxplat.releases.promotion import rollback

        box = self._box
        return rollback(box.state, box.paths, box.settings, name, box.by, told, alias, reason, timeout)

    def history(self, name: str) -> History:
        """What was decided on a model, why, by whom, and which endpoints served which version when."""
        from boxplat.releases.why import of_model

        return of_model(self._box.state, self._box.paths, self._box.settings, name)
