"""Split and rollback: changes of an endpoint that make no release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import Release
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.changes import Change
from boxplat.releases.alone import alone
from boxplat.releases.deployment import serving
from boxplat.releases.lineage import live_before, was_live
from boxplat.releases.owed import deliver
from boxplat.releases.rollout import Rollout, StepError, Told, not_done


@dataclass(frozen=True, slots=True)
class Return:
    """What a rollback returns to: percents by release, and the alias (model, alias, version) that goes along."""

    weights: Mapping[int, int]
    alias: Mapping[str, Any] | None = None


def split(
    state: StateStore,
    paths: Paths,
    config: Config,
    name: str,
    weights: Mapping[int, int],
    by: str,
    shadow: int | None = None,
    timeout: float = 180.0,
    told: Told = lambda line: None,
    reason: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> Change:
    """Divide an endpoint's requests among releases; those that do not run are started and warmed up first.

    Args:
        weights: percent by release number, 100 in all.
        shadow: a release that gets a copy of each request; nobody sees its answers.
        timeout: seconds that a release may take to become ready.

    Raises:
        BoxError: not 100 in all (exit code 2), unknown endpoint or release (9), no room for a release (8), one that has
            failed or does not become ready (1). Nothing has changed then.
    """
    with alone(paths, name):
        rollout = Rollout(state, paths, config, name, by, timeout, told)
        rollout.alone()
        _known(state, name)
        wanted = {number: weight for number, weight in weights.items() if weight != 0}
        if not wanted:
            raise _nothing(name)
        state.releases.check(name, wanted, shadow)
        rollout.room_for({*wanted} | ({shadow} if shadow else set()))
        change = state.changes.open(name, "split", wanted, by, shadow=shadow, reason=reason)
        what = "the split " + " ".join(f"{number}={weight}" for number, weight in wanted.items())
        return _carried_out(rollout, change, evidence or {}, what)


def rollback(
    state: StateStore,
    paths: Paths,
    config: Config,
    name: str,
    by: str,
    number: int | None = None,
    timeout: float = 180.0,
    told: Told = lambda line: None,
    reason: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> Change:
    """Return to what was really live before, or to a release that once was: its traffic, and the model's alias.

    The traffic moves in one transaction, which also writes down the alias that is owed; it is moved right after, or, if
    tracking does not answer now, as soon as it does.

    Args:
        number: a release; None: what was live before the newest release that has requests got its first one.

    Raises:
        BoxError: unknown endpoint or release, or nothing was live before (exit code 9), a release that was never live
            (2), no room for it (8), or it does not become ready (1). Nothing has changed then.
    """
    with alone(paths, name):
        rollout = Rollout(state, paths, config, name, by, timeout, told)
        rollout.alone()
        found = returns_to(state, config, name, number)
        state.releases.check(name, found.weights, None)
        rollout.room_for(found.weights)
        change = state.changes.open(name, "rollback", found.weights, by, reason=reason)
        return _carried_out(rollout, change, evidence or {}, f"the rollback to {_percents(found.weights)}", found.alias)


def returns_to(state: StateStore, config: Config, name: str, number: int | None = None) -> Return:
    """What `rollback` would return to; changes nothing and raises what it would for want of a target."""
    weights = _target(state, name, number)
    return Return(weights, _alias(state, config, name, weights))


def _carried_out(
    rollout: Rollout, change: Change, evidence: Mapping[str, Any], what: str, owed: Mapping[str, Any] | None = None
) -> Change:
    state, name = rollout.state, rollout.name
    problem = "interrupted"
    try:
        moved = rollout.carry_out(change, evidence, owed)
        problem = ""
    except StepError as error:
        problem = f"{error.step}: {error.why}"
        raise not_done(name, what, error, serving(state, name)) from error
    except BoxError as error:
        problem = error.what
        raise
    finally:
        # A release that has just got its first requests is watched; the supervisor ends that change.
        if problem or change.kind == "rollback":
            state.changes.end(change.id, problem)
    if owed and not deliver(state, moved):
        rollout.told(f"tracking does not answer: the alias {owed['alias']} of {owed['model']} follows when it does")
    return moved


def _known(state: StateStore, name: str) -> None:
    known = {release.endpoint for release in state.releases.all()}
    if name not in known:
        raise not_found("deployed endpoint", name, known, f"box deploy {name}")


def _target(state: StateStore, name: str, number: int | None) -> dict[int, int]:
    """The weights to return to."""
    _known(state, name)
    history = state.changes.history(name)
    releases = {release.number: release for release in state.releases.all(name)}
    if number is not None:
        if number not in releases:
            raise not_found(f"release of {name}", str(number), map(str, releases), "box endpoints")
        if not was_live(history, number):
            raise _never_live(name, number)
        return {number: 100}
    failed = [release.number for release in releases.values() if release.state == "failed"]
    found = live_before(history, failed) if state.releases.traffic(name) else None
    if found is None:
        raise BoxError(
            f"nothing was live before what {name} serves now",
            why=f"{serving(state, name)}; its record has no other that answered requests and did not fail",
            fix=f"box endpoints   (to make a new release: box deploy {name})",
            code=ExitCode.NOT_FOUND,
        )
    return dict(found)


def _alias(state: StateStore, config: Config, name: str, weights: Mapping[int, int]) -> dict[str, Any] | None:
    """The alias that follows the traffic: that of the endpoint, to the version of the release with most requests."""
    settings = config.endpoints.get(name)
    by_number: dict[int, Release] = {release.number: release for release in state.releases.all(name)}
    main = by_number[max(weights, key=lambda number: (weights[number], number))]
    if settings is None or not settings.alias or main.model is None or main.model != settings.model:
        return None
    return {"model": main.model, "alias": settings.alias, "version": main.model_version}


def _percents(weights: Mapping[int, int]) -> str:
    if len(weights) == 1:
        return f"release {next(iter(weights))}"
    return " ".join(f"{number}={weight}" for number, weight in weights.items())


def _nothing(name: str) -> BoxError:
    return BoxError(
        f"the split of {name} sends requests nowhere",
        why="no release has a weight above 0",
        fix=f"box split {name} RELEASE=PERCENT …   (to stop it: box undeploy {name})",
        code=ExitCode.USAGE,
    )


def _never_live(name: str, number: int) -> BoxError:
    return BoxError(
        f"release {number} of {name} was never live",
        why="a rollback returns to what has answered requests before",
        fix=f"box split {name} {number}=100   (what was live when: box endpoints history {name})",
        code=ExitCode.USAGE,
    )
