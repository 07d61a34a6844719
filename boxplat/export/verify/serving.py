"""Everything that an export serves, run and asked: feature vectors, and the answers of endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.export_config import VerifyConfig
from boxplat.core.paths import Paths
from boxplat.export import names
from boxplat.export.model import FEATURES, LiveRelease
from boxplat.export.serving.endpoints import BENTO
from boxplat.export.serving.instances import named
from boxplat.export.verify import registry, stand_ins
from boxplat.export.verify.answers import Local, answers
from boxplat.export.verify.compare import UNCOMPARED, Finding, Served
from boxplat.export.verify.exported import Exported
from boxplat.export.verify.pods import World
from boxplat.export.verify.storage import Storage
from boxplat.export.verify.vectors import uncompared, vectors

_EMPTY = "no exported flow that ran here has applied the feature repository and filled its store"


@dataclass(frozen=True, slots=True)
class Live:
    """What this box serves: the releases of each endpoint, and where processes of them answer (by endpoint, number)."""

    releases: Mapping[str, Sequence[LiveRelease]] = field(default_factory=dict)
    urls: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """The project, its export, and the machine's stand-ins for a cluster, after the flows."""

    paths: Paths
    config: Config
    exported: Exported
    world: World
    storage: Storage


def features(place: Place) -> list[Served]:
    """Ask the exported feature server, over the stores that the exported flows have filled."""
    deployment = place.exported.deployments().get(FEATURES)
    if deployment is None:
        return []
    if not _is_filled(place):
        return [uncompared(_EMPTY)]
    return vectors(deployment, place.paths, place.config, place.world)


def endpoints(place: Place, live: Live, chosen: Sequence[str]) -> list[Served]:
    """Run every exported release of the chosen endpoints, and ask each what the local one was asked.

    Raises:
        BoxError: the tracking database cannot be read (exit code 4), or the exported server does not run (10).
    """
    found = [_absent(name) for name in chosen if not live.releases.get(name)]
    pairs = [(name, one) for name in chosen for one in live.releases.get(name, ())]
    if not pairs:
        return found
    models = {one.model_version for _, one in pairs if one.model_version}
    registry.migrate(place.exported, place.paths, sorted(models), place.storage, place.world)
    with registry.tracking(place.exported, place.world):
        return found + [one for name in chosen for one in _releases(place, live, name)]


def _is_filled(place: Place) -> bool:
    return (place.world.folder / "stand-ins" / stand_ins.REGISTRY).exists()


def _absent(name: str, why: str = "") -> Served:
    why = why or f"it has no release here to compare with: box deploy {name}"
    return Served(f"endpoint {name}", "", (Finding(name, "", UNCOMPARED, why),))


def _releases(place: Place, live: Live, endpoint: str) -> Iterator[Served]:
    deployments = place.exported.deployments()
    releases = live.releases.get(endpoint, ())
    if FEATURES in deployments and not _is_filled(place):
        yield _absent(endpoint, f"{_EMPTY}: name that flow as well, or none")
        return
    for name, release in named(endpoint, releases).items() if releases else ():
        url = live.urls.get((endpoint, release.number), "")
        local = Local(endpoint, release.number, url, place.paths.state / "predictions" / endpoint)
        declared = place.config.verify.get(endpoint, VerifyConfig())
        world = replace(place.world, images=_image(place, release))
        yield answers(deployments[name], local, declared, world)


def _image(place: Place, release: LiveRelease) -> dict[str, Path]:
    """What the image of a release has below `/app`: its Bento, and the feature repository."""
    paths, repo = place.paths, place.config.features.repo
    found = {BENTO: paths.bentoml / "bentos" / release.bento.replace(":", "/")}
    if (paths.root / repo).is_dir():
        found[f"{names.ROOT}/{repo}"] = paths.root / repo
    return found
