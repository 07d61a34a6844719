"""Features for serving code, in columns and without Feast.

    reader = boxplat.features.reader.open("feature_repo")
    answer = reader.read("flight_delay", {"origin": ["JFK", "LGA"]})
    answer.numpy("temp")          # values and whether there is one

A repository whose online store is not boxplat's, or a request with on-demand transformations, is answered by Feast,
which takes seconds to load; everything else starts in the time of NumPy and Arrow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features import catalog as catalogs
from boxplat.features.catalog import Catalog, Settings
from boxplat.features.online import keys, request
from boxplat.features.online.answer import Answer
from boxplat.features.online.request import Moment, Plan
from boxplat.features.online.resolve import NeedsFeast, references, resolve
from boxplat.features.repository import SETTINGS, explained

if TYPE_CHECKING:
    from boxplat.features.online.foreign import FeastReader
    from boxplat.features.rows import Store

Keys = Sequence[Mapping[str, Any]] | Mapping[str, Any]
# More kinds of requests than this at once are no kinds: somebody makes feature lists by the request.
_MOST_PLANS = 1024


def open(repo: Path | str) -> Reader:  # noqa: A001 (as in gzip.open)
    """A reader of the repository whose `feature_store.yaml` is in this folder.

    Raises:
        BoxError: there is none (exit code 9), or it cannot be read (2).
    """
    return Reader(Path(repo))


@dataclass(frozen=True)
class _State:
    """One state of the registry, its rows, and what was resolved against it."""

    catalog: Catalog
    store: Store
    plans: dict[tuple[Any, bool], Plan] = field(default_factory=dict)

    def plan(self, features: str | Sequence[str], full: bool) -> Plan:
        key = (features if isinstance(features, str) else tuple(features), full)
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) >= _MOST_PLANS:
                self.plans.clear()
            plan = self.plans[key] = resolve(self.catalog, features, full)
        return plan


class Reader:
    """Reads features as a repository's registry declares them; changes of the registry are followed.

    For any number of threads. A process keeps one for as long as it lives: what a request needs is resolved once.
    """

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        with explained(f"cannot read {repo / SETTINGS}", repo.resolve(), ExitCode.USAGE):
            self._settings = _settings(repo)
        self._seen: tuple[int, int] | None = None
        self._state: _State | None = None
        self._feast: FeastReader | None = None

    def read(
        self,
        features: str | Sequence[str],
        keys: Keys,
        *,
        full_feature_names: bool = False,
        now_us: Moment | None = None,
    ) -> Answer:
        """N rows of features.

        Args:
            features: a feature service's name, or references `view:feature`.
            keys: rows, or columns, of the join keys; lists, NumPy arrays, Arrow arrays.
            full_feature_names: names are `view__feature`.
            now_us: what ages are measured against, microseconds since the epoch, one or one per row; None: now, or the
                end of the last materialization where the store is set to that clock.

        Raises:
            BoxError: an unknown service, view or feature (exit code 9), keys that are missing or of another type (2).
        """
        answer = self.at_once(features, keys, full_feature_names=full_feature_names, now_us=now_us)
        if answer is not None:
            return answer
        if self._feast is None:
            from boxplat.features.online.foreign import FeastReader

            with explained(f"cannot open {self._repo / SETTINGS}", self._repo.resolve(), ExitCode.USAGE):
                self._feast = FeastReader.open(self._repo)
        return self._feast.read(features, keys, full_feature_names=full_feature_names, now_us=now_us)

    def at_once(
        self,
        features: str | Sequence[str],
        keys: Keys,
        *,
        full_feature_names: bool = False,
        now_us: Moment | None = None,
    ) -> Answer | None:
        """`read`, or None where only Feast has the answer."""
        state = self._current()
        if state is None:
            return None
        try:
            plan = state.plan(features, full_feature_names)
        except NeedsFeast:
            return None
        return _answer(state, plan, features, keys, full_feature_names, now_us)

    def _current(self) -> _State | None:
        """The newest state. One that an apply is about to replace is good until then."""
        registry = self._settings.registry
        if registry is None:
            return None
        try:
            status = os.stat(registry)
        except OSError:
            return None
        seen = (status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            found = catalogs.load(self._repo)
            if found is not None:
                self._state = _State(found, self._rows(found.online))
                self._seen = seen
        return self._state

    def _rows(self, folder: Path) -> Store:
        if self._state is not None and self._state.store.folder == folder:
            return self._state.store
        from boxplat.features import rows

        return rows.Store(folder)


def _answer(
    state: _State, plan: Plan, features: str | Sequence[str], given: Keys, full: bool, now_us: Moment | None
) -> Answer:
    columns, count = keys.columns(given)
    columns = request.asked(plan, columns, lambda: named(features))
    found, moments = request.lookup(state.store, plan, columns, count, now_us, state.catalog.clock)
    names = plan.full_names if full else plan.short_names
    return Answer(columns, names, found, plan.labels, moments)


def named(features: str | Sequence[str]) -> str:
    """A request in words, for errors."""
    return features if isinstance(features, str) else ", ".join(references(features) or ())


def _settings(repo: Path) -> Settings:
    found = catalogs.settings(repo)
    if found is not None:
        return found
    if not (repo / "feature_store.yaml").is_file() and "FEAST_FS_YAML_FILE_PATH" not in os.environ:
        raise BoxError(
            f"no Feast repository at {repo}",
            why="it holds no feature_store.yaml",
            fix="give the folder that holds it",
            code=ExitCode.NOT_FOUND,
        )
    return Settings(project="", store="", online=repo, clock="wall", registry=None)
