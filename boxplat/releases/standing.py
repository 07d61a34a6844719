"""Registered models without asking a server: MLflow's database, the record and the releases, joined."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from boxplat.adapters import tracking_store
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, not_found
from boxplat.core.model import ModelVersion, Release
from boxplat.core.paths import Paths
from boxplat.core.registry import Alias, BackEnd, Gate, Judged, Registered, Serving, Standing
from boxplat.core.state import StateStore
from boxplat.core.state.chain import Entry
from boxplat.releases import aliases
from boxplat.releases.models import tracking_url

_EVIDENCE, _BACKEND = "boxplat.backend.evidence", "boxplat.backend"
_ASKED = (aliases.PROMOTED, aliases.REFUSED)
# What the recorder logs of every run says nothing of a model.
_OF_RUNS = ("boxplat.", "step.", "duration_seconds", "system/")


class Standings:
    """The registered models of one box, read again only when something of them changed."""

    def __init__(self, state: StateStore, paths: Paths, config: Config) -> None:
        self._state = state
        self._paths = paths
        self._config = config
        self._stamp: object = None
        self._last: tuple[Registered, ...] = ()

    def read(self) -> tuple[Registered, ...]:
        """Every registered model by name; the same object as before where nothing changed.

        Raises:
            BoxError: the tracking server's database cannot be read (exit code 4).
        """
        url = _server(self._state)
        stamp = (url, tracking_store.stamp(self._paths.mlflow), self._state.record.last())
        if stamp != self._stamp:
            self._last = self._all(url)
            self._stamp = stamp
        return self._last

    def of(self, name: str) -> Registered:
        """One of them.

        Raises:
            BoxError: there is none of that name (exit code 9).
        """
        found = self.read()
        model = next((one for one in found if one.name == name), None)
        if model is None:
            raise not_found("model", name, [one.name for one in found], "box models status")
        return model

    def _all(self, url: str) -> tuple[Registered, ...]:
        versions: dict[str, list[ModelVersion]] = {}
        for one in tracking_store.registered(self._paths.mlflow):
            versions.setdefault(one.name, []).append(one)
        releases = _Releases(self._state)
        runs = self._state.runs.numbers([one.source_run_id for own in versions.values() for one in own])
        return tuple(self._model(name, versions[name], releases, runs, url) for name in sorted(versions))

    def _model(
        self,
        name: str,
        versions: Sequence[ModelVersion],
        releases: _Releases,
        runs: Mapping[str, int],
        url: str,
    ) -> Registered:
        endpoints = tuple(one for one, said in self._config.endpoints.items() if said.model == name)
        judged = _judgements(self._state.record.entries(f"model/{name}", _ASKED))
        standings = [
            Standing(
                _bare(one),
                runs.get(one.source_run_id or ""),
                judged.get(one.version),
                _backends(one.tags.get(_EVIDENCE)),
                tuple(releases.serving(name, one.version)),
                tuple(f"{release.endpoint}@{release.number}" for release in releases.of(name, one.version)),
            )
            for one in sorted(versions, key=lambda one: -one.version)
        ]
        gates = self._config.gates.get(name)
        measured = sorted({metric for one in standings for metric in one.version.metrics})
        metric = gates.metric if gates else next(iter(measured), "")
        known = tuple(self._alias(name, alias, versions) for alias in sorted(self._aliases(name, versions)))
        page = f"{url}/#/models/{quote(name, safe='')}" if url else ""
        return Registered(name, metric, gates is not None, known, endpoints, tuple(standings), page)

    def _aliases(self, name: str, versions: Iterable[ModelVersion]) -> set[str]:
        """Those that a version has, and those that an endpoint waits for."""
        followed = {said.alias for said in self._config.endpoints.values() if said.model == name}
        return followed | {alias for one in versions for alias in one.aliases}

    def _alias(self, model: str, alias: str, versions: Iterable[ModelVersion]) -> Alias:
        now = next((one.version for one in versions if alias in one.aliases), None)
        before = aliases.before(self._state, model, alias)
        there = {one.version for one in versions}
        followed = (model, alias)
        follow = [one for one, said in self._config.endpoints.items() if (said.model, said.alias) == followed]
        return Alias(alias, now, before if before in there and before != now else None, tuple(follow))


class _Releases:
    """All releases by model version, and who of them answers now."""

    def __init__(self, state: StateStore) -> None:
        self._by_version: dict[tuple[str | None, int | None], list[Release]] = {}
        for release in state.releases.all():
            self._by_version.setdefault((release.model, release.model_version), []).append(release)
        names = {release.endpoint for own in self._by_version.values() for release in own}
        self._traffic = {name: (state.releases.traffic(name), state.releases.shadow(name)) for name in names}

    def of(self, model: str, version: int) -> Sequence[Release]:
        """Those that a version went into, the newest first."""
        return self._by_version.get((model, version), ())

    def serving(self, model: str, version: int) -> Iterable[Serving]:
        """Where it answers now."""
        for release in self.of(model, version):
            weights, shadow = self._traffic[release.endpoint]
            weight = weights.get(release.number, 0)
            if weight or shadow == release.number:
                yield Serving(release.endpoint, release.number, weight, shadow == release.number)


def _server(state: StateStore) -> str:
    try:
        return tracking_url(state)
    except BoxError:
        return ""  # what is known does not depend on it; only its pages do


def _bare(version: ModelVersion) -> ModelVersion:
    """Without what has a field of its own, and without the figures of the run itself."""
    return replace(
        version,
        tags={key: value for key, value in version.tags.items() if key not in (_EVIDENCE, _BACKEND)},
        metrics={key: value for key, value in version.metrics.items() if not key.startswith(_OF_RUNS)},
    )


def _judgements(entries: Iterable[Entry]) -> dict[int, Judged]:
    """The last judgement of each version."""
    return {int(entry.data["version"]): _judged(entry) for entry in entries if entry.data.get("version")}


def _judged(entry: Entry) -> Judged:
    said = entry.data
    evidence = said.get("evidence")
    seen: Mapping[str, Any] = evidence if isinstance(evidence, dict) else {}
    return Judged(
        entry=entry.number,
        at=entry.at,
        by=entry.by,
        alias=str(said.get("alias", "")),
        moved=entry.kind == aliases.PROMOTED,
        forced=bool(said.get("forced")),
        reason=str(said.get("reason", "")),
        unjudged=str(said.get("unjudged", "")),
        champion=seen.get("champion"),
        rows=int(seen.get("rows") or 0),
        groups=int(seen.get("groups") or 0),
        gates=tuple(_gate(one) for one in said.get("gates") or () if isinstance(one, dict)),
    )


def _gate(said: Mapping[str, Any]) -> Gate:
    outcome = {True: "passed", False: "refused"}.get(said.get("passed"), "not judged")  # type: ignore[arg-type]
    return Gate(outcome=outcome, **{to: str(said.get(key, "")) for to, key in _GATE.items()})


_GATE = {"name": "gate", "rule": "rule", "found": "found", "champion": "champion"}


@lru_cache(2048)
def _backends(evidence: str | None) -> tuple[BackEnd, ...]:
    """From the tag that `box models calibrate` writes; none where it is absent or of a later boxplat."""
    try:
        found = json.loads(evidence or "")
    except ValueError:
        return ()
    results = found.get("results") if isinstance(found, dict) and found.get("schema_version") == 1 else None
    return tuple(
        BackEnd(
            name=str(one.get("backend", "")),
            verdict=str(one.get("verdict", "")),
            reason=str(one.get("reason", "")),
            ratio=one.get("ratio"),
            microseconds=dict(one.get("microseconds") or {}),
            memory_mib=one.get("memory_mib"),
            difference=one.get("difference"),
        )
        for one in results or ()
        if isinstance(one, dict)
    )
