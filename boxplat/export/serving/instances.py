"""The releases of an endpoint as workloads of their own: one Deployment and Service for each that gets requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from boxplat.core.model import Service
from boxplat.export import names
from boxplat.export.model import ExportInput, LiveRelease
from boxplat.export.references import port

# The server of BentoML, which runs services that need processes of their own, knows no socket that is passed to it.
_WORKER = "boxplat.serving.worker"
_READY = "/readyz"


@dataclass(frozen=True, slots=True)
class Instance:
    """One release of an endpoint on the cluster; `name` is that of its objects, `release` None where none is known.

    The release with the most weight has the endpoint's own name: its successor takes its place pod by pod, so that one
    GPU is enough for both. `delay-r8` is release 8 of `delay` beside it.
    """

    endpoint: str
    name: str
    service: Service
    release: LiveRelease | None

    @property
    def labels(self) -> dict[str, str]:
        """What tells its pods from those of the other releases, and never changes."""
        return {names.INSTANCE: self.name}

    @property
    def is_shadow(self) -> bool:
        return self.release is not None and self.release.shadow

    @property
    def weight(self) -> int:
        """Percent of the requests."""
        return 100 if self.release is None else self.release.weight

    @property
    def port(self) -> int:
        return port(self.service)

    @property
    def is_worker(self) -> bool:
        """Whether the server is boxplat's."""
        return _WORKER in self.service.command

    @property
    def has_log(self) -> bool:
        """Whether it keeps a prediction log."""
        return self.is_worker and "--log" in self.service.command

    @property
    def prefix(self) -> str:
        """Of the paths of the service, without a slash at the end."""
        return self.service.health.removesuffix(_READY) if self._is_bento else ""

    @property
    def live(self) -> str:
        """Where the server says that it is alive, whether or not it is ready."""
        return f"{self.prefix}/livez" if self._is_bento else self.service.health

    @property
    def _is_bento(self) -> bool:
        return self.service.kind == "endpoint" and self.service.health.endswith(_READY)


def instances(service: Service, releases: Sequence[LiveRelease]) -> list[Instance]:
    """Those of one endpoint, the main one first.

    Args:
        service: the declaration of the release that gets most of the requests.
        releases: all that get requests or copies of them.
    """
    if not releases:
        return [Instance(service.name, service.name, service, None)]
    return [
        Instance(service.name, name, service if name == service.name else replace(one.service, name=name), one)
        for name, one in named(service.name, releases).items()
    ]


def named(endpoint: str, releases: Sequence[LiveRelease]) -> dict[str, LiveRelease]:
    """Its releases by the names of their Deployments, the main one first."""
    main = main_release(releases)
    others = sorted((one for one in releases if one is not main), key=lambda one: one.number)
    return {endpoint: main, **{f"{endpoint}-r{one.number}": one for one in others}}


def main_release(releases: Sequence[LiveRelease]) -> LiveRelease:
    """The one that gets most of the requests, and of several the newest."""
    return max(releases, key=lambda one: (one.weight, one.number))


def endpoints(inputs: ExportInput) -> dict[str, list[Instance]]:
    """The instances of every endpoint, by its name."""
    declared = sorted((one for one in inputs.services if one.kind == "endpoint"), key=lambda one: one.name)
    return {one.name: instances(one, inputs.releases.get(one.name, ())) for one in declared}


def beside(inputs: ExportInput) -> list[tuple[str, Service]]:
    """The declarations of all instances that have another name than their endpoint, each with that."""
    return [(one.endpoint, one.service) for own in endpoints(inputs).values() for one in own[1:]]
