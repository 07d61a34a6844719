"""Where answers come from: the record, the state, the registry of models and the prediction logs."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.model import ModelVersion, Release, Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.chain import Entry
from boxplat.releases.models import versions
from boxplat.releases.outcomes import store as outcomes
from boxplat.releases.outcomes.verb import rows
from boxplat.releases.why.logs import Logs
from boxplat.releases.why.periods import Period, periods


class Sources:
    """What one question needs, each read once."""

    def __init__(self, state: StateStore, paths: Paths, config: Config) -> None:
        self.state = state
        self.paths = paths
        self._config = config
        self.logs = Logs(paths)
        self.verdict = state.record.verify()
        self._periods: dict[str, list[Period]] = {}

    @cached_property
    def record(self) -> list[Entry]:
        """The entries that nobody has tampered with."""
        if self.verdict.head is None:
            return []
        # An entry that the state contradicts is sound itself: it is the state that was changed.
        wrong = {fault.number for fault in self.verdict.faults if fault.number and fault.what != "contradicted"}
        return self.state.record.entries(without=wrong)

    @cached_property
    def releases(self) -> list[Release]:
        return self.state.releases.all()

    @cached_property
    def registry(self) -> tuple[list[ModelVersion], str]:
        """Every registered version; or none, and why that is."""
        try:
            return versions(self.state), ""
        except BoxError as error:
            return [], f"{error.what}: {error.why}; {error.fix}"

    def of(self, subject: str, *kinds: str) -> list[Entry]:
        """The entries of a subject, the oldest first."""
        return [one for one in self.record if one.subject == subject and (not kinds or one.kind in kinds)]

    def periods(self, endpoint: str) -> list[Period]:
        """Who was live when."""
        if endpoint not in self._periods:
            self._periods[endpoint] = periods(self.of(f"endpoint/{endpoint}"))
        return self._periods[endpoint]

    def release(self, endpoint: str, number: int) -> Release | None:
        return next((one for one in self.releases if (one.endpoint, one.number) == (endpoint, number)), None)

    def version(self, model: str, number: int) -> ModelVersion | None:
        return next((one for one in self.registry[0] if (one.name, one.version) == (model, number)), None)

    def serving(self, model: str, version: int) -> list[Release]:
        """Releases with this version, the oldest first."""
        found = [one for one in self.releases if (one.model, one.model_version) == (model, version)]
        return sorted(found, key=lambda one: (one.endpoint, one.number))

    def outcome(self, endpoint: str, request: str, row: int) -> dict[str, Any] | None:
        """What became known of a prediction later: its label, the loss, and when that was received."""
        if endpoint not in self._config.endpoints or not outcomes.files(outcomes.folder_of(self.paths, endpoint)):
            return None
        found = rows(self.paths, self._config, endpoint, limit=1_000, request=request)
        return next((one for one in found if one["row"] == row), None)

    def run_of(self, tracking: str | None) -> Run | None:
        """The run of this box that has a tracking run."""
        return self.state.runs.tracked_as(tracking) if tracking else None

    def came_from(self, model: str, version: int) -> str | None:
        """The tracking run that made a version: as the registry has it, else as a release with it was told."""
        known = self.version(model, version)
        if known is not None:
            return known.source_run_id
        return next((one.run for one in self.serving(model, version) if one.run), None)
