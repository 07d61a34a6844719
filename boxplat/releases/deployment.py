"""Deploy: from a Bento folder and a model alias to a numbered release that serves beside, then for the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from boxplat.adapters import bentos
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import Release
from boxplat.core.paths import Paths
from boxplat.core.percents import shared
from boxplat.core.replicas import Replica
from boxplat.core.state import StateStore
from boxplat.core.state.changes import Change
from boxplat.features.skew.definitions import digests
from boxplat.releases.alone import alone
from boxplat.releases.environment import environment_digest
from boxplat.releases.models import version_of
from boxplat.releases.rollout import Rollout, StepError, Told, not_done


@dataclass(frozen=True)
class Candidate:
    """All that a release is made of; two releases with equal candidates serve the same."""

    bento: str
    model: str | None
    model_version: int | None
    feature_service: str | None
    environment: str
    settings: Mapping[str, Any]

    def same_as(self, release: Release) -> bool:
        return all(value == getattr(release, name) for name, value in asdict(self).items())


def deploy(
    state: StateStore,
    paths: Paths,
    config: Config,
    name: str,
    by: str,
    timeout: float = 180.0,
    told: Told = lambda line: None,
    reason: str = "",
    evidence: Mapping[str, Any] | None = None,
    version: str = "",
    percent: int = 100,
) -> Release:
    """Make a release of an endpoint and, when it is ready and warm, send it the requests; the old one serves till then.

    Nothing is made where a release that has not failed is made of the same Bento, model version, features, environment
    and settings already: that one gets the requests.

    Args:
        timeout: seconds that the release may take to become ready.
        told: called with each step before it is taken.
        reason, evidence: for the record: why it is made, and what speaks for it.
        version: of the model: a number or an alias (empty: the endpoint's alias).
        percent: of the requests; the releases that have some now keep their shares of the rest. 0: it is started,
            warmed up and stopped again, for a later split.

    Returns:
        The release.

    Raises:
        BoxError: unknown endpoint, model, alias or Bento folder (exit code 9); tracking does not run (3); no room for
            it beside the others (8); the Bento cannot be built, or the release does not become ready, fails its warm-up
            or is not taken by the gateway (1). The releases before it serve on then.
    """
    if name not in config.endpoints:
        raise not_found("endpoint", name, config.endpoints, f"declare it in boxplat.toml: [endpoints.{name}]")
    with alone(paths, name):
        candidate, run = _candidate(state, paths, config, name, version, told)
        rollout = Rollout(state, paths, config, name, by, timeout, told)
        rollout.alone()
        release = next(
            (one for one in state.releases.all(name) if one.state != "failed" and candidate.same_as(one)), None
        )
        others = _others(state.releases.traffic(name), release, percent)
        if release is not None and {**others, release.number: percent} == state.releases.traffic(name):
            return _kept(rollout, release)
        _room(rollout, candidate, release)
        rollout.settle()
        if release is None:
            made_of = {**asdict(candidate), "run": run, "features": digests(paths, config, candidate.feature_service)}
            release, change = state.releases.deploy(name, by, others, percent, reason, evidence or {}, **made_of)
        else:
            shadow = state.releases.shadow(name)
            shadow = None if shadow == release.number else shadow
            weights = {**others, release.number: percent}
            change = state.changes.open(name, "deploy", weights, by, shadow=shadow, reason=reason)
        serves = f" with {release.model} version {release.model_version}" if release.model else ""
        told(f"starting release {release.number} of {name}: {release.bento}{serves}")
        _carried_out(rollout, release, change, evidence or {})
        return next(found for found in state.releases.all(name) if found.number == release.number)


def _others(traffic: Mapping[int, int], release: Release | None, percent: int) -> dict[int, int]:
    """The percents of the releases that have requests now, when one gets so many.

    Raises:
        BoxError: no percent, or part of the requests where nothing has the rest (exit code 2).
    """
    rest = {number: weight for number, weight in traffic.items() if release is None or number != release.number}
    left = 100 - percent
    if not 0 <= percent <= 100 or (0 < left < 100 and not rest):
        raise BoxError(
            f"the new release cannot get {percent} percent of the requests",
            why="no release has the rest of them" if 0 <= percent <= 100 else "a percentage is a number from 0 to 100",
            fix="box deploy NAME   (and box split for what comes after)",
            code=ExitCode.USAGE,
        )
    if not percent and release is not None and traffic.get(release.number):
        raise BoxError(
            f"release {release.number} is made of the same and has requests already",
            why=f"it gets {traffic[release.number]} percent; with 0 percent a release is only made and warmed up",
            fix=f"box split {release.endpoint} RELEASE=PERCENT …   (to take its requests away)",
            code=ExitCode.USAGE,
        )
    return shared(rest, left)


def undeploy(state: StateStore, paths: Paths, config: Config, name: str, by: str, timeout: float = 60.0) -> None:
    """Send an endpoint's requests nowhere and stop its processes; its releases stay on record.

    Raises:
        BoxError: it is not deployed (exit code 9), a change of it is under way, or its processes do not stop (1).
    """
    deployed = {which.endpoint for row in state.services.specs() if (which := Replica.of(row.name))}
    deployed |= {endpoint for endpoint in state.endpoints.settings() if state.releases.traffic(endpoint)}
    if name not in deployed:
        raise not_found("deployed endpoint", name, deployed, "box endpoints")
    with alone(paths, name):
        state.changes.end(state.releases.split(name, {}, by, kind="undeploy").id)
        for change in state.changes.current(name):
            state.changes.end(change.id)
        left = Rollout(state, paths, config, name, by, timeout, lambda line: None).stopped()
    if left:
        raise BoxError(f"{name} gets no requests, but its processes did not stop", why=left, fix="box status")


def live_release(state: StateStore, endpoint: str) -> Release | None:
    """The release that gets most of the endpoint's requests, and of several the newest."""
    weights = state.releases.traffic(endpoint)
    live = [release for release in state.releases.all(endpoint) if weights.get(release.number, 0) > 0]
    return max(live, key=lambda release: (weights[release.number], release.number), default=None)


def _carried_out(rollout: Rollout, release: Release, change: Change, evidence: Mapping[str, Any]) -> None:
    """Take the steps; whatever goes wrong, a release without requests has failed and does not stay."""
    state, number = rollout.state, release.number
    try:
        if change.weights.get(number):
            rollout.carry_out(change, evidence)
            rollout.told(f"release {number} of {rollout.name} is live")
        else:
            rollout.start([number])
            state.changes.end(change.id)
            rollout.told(f"release {number} of {rollout.name} is ready, without requests")
    except BaseException as error:
        step, why = (error.step, error.why) if isinstance(error, StepError) else ("deploy", _words(error))
        failed = {number} - {*state.releases.traffic(rollout.name)}
        state.releases.abandon(change, failed, rollout.by, f"{step}: {why}")
        if isinstance(error, StepError):
            what = f"release {number}"
            raise not_done(rollout.name, what, error, serving(state, rollout.name)) from error
        raise


def _words(error: BaseException) -> str:
    return error.what if isinstance(error, BoxError) else type(error).__name__


def serving(state: StateStore, name: str) -> str:
    """What an endpoint serves now, in words."""
    weights = state.releases.traffic(name)
    if not weights:
        return "the endpoint serves no other release"
    if len(weights) == 1:
        return f"release {next(iter(weights))} serves on"
    return "releases " + ", ".join(f"{number} ({weight} %)" for number, weight in weights.items()) + " serve on"


def _kept(rollout: Rollout, release: Release) -> Release:
    """See to it that the releases with requests run, with the settings of now."""
    state, name = rollout.state, rollout.name
    numbers = {*state.releases.traffic(name)}
    rollout.room_for(numbers, count=rollout.config.endpoints[name].replicas)
    rollout.settle()
    try:
        rollout.start(numbers)
    except StepError as error:
        raise not_done(name, f"release {release.number}", error, "it stays the live release") from error
    rollout.told(f"nothing changed: release {release.number} of {name} is live and healthy")
    return release


def _room(rollout: Rollout, candidate: Candidate, made: Release | None) -> None:
    """Refuse a release that there is no room for, before anything is changed."""
    settings = rollout.config.endpoints[rollout.name]
    if made is not None:
        return rollout.room_for({made.number}, count=settings.replicas)
    release = Release(rollout.name, 0, created=0.0, created_by="", **asdict(candidate))
    replicas = range(1, settings.replicas + 1)
    specs = [
        bentos.replica(Replica(rollout.name, 0, index), release, rollout.config, rollout.paths) for index in replicas
    ]
    rollout.room_for((), specs)


def _candidate(
    state: StateStore, paths: Paths, config: Config, name: str, version: str, told: Told
) -> tuple[Candidate, str | None]:
    """What the next release would be made of, and the tracking run that its model version comes from."""
    settings = config.endpoints[name]
    found = version_of(state, paths.root, settings.model, version or settings.alias) if settings.model else None
    candidate = Candidate(
        bento=bentos.build(paths.root / (settings.bento or f"bentos/{name}"), paths, config, told),
        model=found.name if found else None,
        model_version=found.version if found else None,
        feature_service=settings.feature_service or None,
        environment=environment_digest(),
        # As it comes back from the state.
        settings=json.loads(json.dumps(bentos.pinned(settings))),
    )
    return candidate, found.source_run_id if found else None
