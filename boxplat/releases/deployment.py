"""Deploy: from a Bento folder and a model alias to a numbered release that serves, or back to the one before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from boxplat.adapters import bentos
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, not_found
from boxplat.core.model import Release
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.environment import environment_digest
from boxplat.releases.models import version_of
from boxplat.releases.switch import Switch, live_release

Told = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """All that a release is made of; two releases with equal candidates serve the same."""

    bento: str
    model: str | None
    model_version: int | None
    feature_service: str | None
    environment: str

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
) -> Release:
    """Make a release of an endpoint and put it live; requests wait at the listening socket while the process changes.

    Nothing is made when the live release already serves the same Bento, model version, features, environment and
    settings.

    Args:
        timeout: seconds that the release may take to become healthy.
        told: called with each step before it is taken.

    Returns:
        The live release.

    Raises:
        BoxError: unknown endpoint, model, alias or Bento folder (exit code 9); tracking does not run (3); the Bento
            cannot be built or the release does not become healthy (1). Then the release before it serves again.
    """
    if name not in config.endpoints:
        raise not_found("endpoint", name, config.endpoints, f"declare it in boxplat.toml: [endpoints.{name}]")
    with _alone(paths, name):
        candidate = _candidate(state, paths, config, name, told)
        switch = Switch(state, paths, config, name, by, timeout)
        live = live_release(state, name)
        if live is not None and candidate.same_as(live) and switch.declared_for(live):
            switch.keep(live)
            told(f"nothing changed: release {live.number} of {name} is live and healthy")
            return live
        release = state.releases.add(endpoint=name, by=by, **asdict(candidate))
        serves = f" with {release.model} version {release.model_version}" if release.model else ""
        told(f"starting release {release.number} of {name}: {release.bento}{serves}")
        live = switch.to(release)
        told(f"release {live.number} of {name} is live")
        return live


def undeploy(state: StateStore, paths: Paths, config: Config, name: str, by: str, timeout: float = 30.0) -> None:
    """Stop an endpoint and send it no requests; its releases stay on record.

    Raises:
        BoxError: it is not deployed (exit code 9), or a deploy of it is under way (1).
    """
    deployed = [service.name for service in state.services.specs() if service.kind == "endpoint"]
    if name not in deployed:
        raise not_found("deployed endpoint", name, deployed, "box endpoints")
    with _alone(paths, name):
        Switch(state, paths, config, name, by, timeout).off()


def _candidate(state: StateStore, paths: Paths, config: Config, name: str, told: Told) -> Candidate:
    settings = config.endpoints[name]
    version = version_of(state, paths.root, settings.model, settings.alias) if settings.model else None
    return Candidate(
        bento=bentos.build(paths.root / (settings.bento or f"bentos/{name}"), paths, config, told),
        model=version.name if version else None,
        model_version=version.version if version else None,
        feature_service=settings.feature_service or None,
        environment=environment_digest(),
    )


@contextmanager
def _alone(paths: Paths, name: str) -> Iterator[None]:
    """One change of an endpoint at a time; the kernel frees the lock however its holder ends."""
    descriptor = os.open(paths.state / f"deploy-{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BoxError(
                f"another command is changing endpoint {name}",
                why="two deploys of one endpoint at once would undo each other",
                fix="box endpoints   (try again when it has ended)",
            ) from error
        yield
    finally:
        os.close(descriptor)
