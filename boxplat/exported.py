"""What of a box goes to a cluster: its services, and the releases that get requests now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxplat.box import Box
    from boxplat.core.model import Service
    from boxplat.core.profile import Peaks
    from boxplat.export import LiveRelease, Peak


def releases(box: Box) -> dict[str, tuple[LiveRelease, ...]]:
    """The releases of each endpoint that get requests or copies of them, by number.

    Raises:
        BoxError: the Bento of one is gone (exit code 9).
    """
    from boxplat.adapters import bentos
    from boxplat.export import LiveRelease

    found = {}
    for name in box.state.endpoints.settings():
        weights, shadow = box.state.releases.traffic(name), box.state.releases.shadow(name)
        own = [one for one in box.state.releases.all(name) if weights.get(one.number) or one.number == shadow]
        if any(weights.values()):
            found[name] = tuple(
                LiveRelease(
                    number=one.number,
                    weight=weights.get(one.number, 0),
                    shadow=one.number == shadow,
                    bento=one.bento,
                    model_version=f"{one.model}/{one.model_version}" if one.model else "",
                    service=bentos.service(one, box.settings, box.paths),
                )
                for one in sorted(own, key=lambda one: one.number)
            )
    return found


def declared(box: Box, live: dict[str, tuple[LiveRelease, ...]]) -> list[Service]:
    """The services of a box, references unresolved; an endpoint as the release declares it that gets most requests."""
    from boxplat.declarations import services
    from boxplat.export import main_release

    return [*services(box.settings, box.paths), *(main_release(own).service for own in live.values())]


def urls(box: Box) -> dict[tuple[str, int], str]:
    """Where a process of a release answers, by endpoint and number; of releases that run."""
    from boxplat.core.model import State
    from boxplat.core.replicas import Replica

    rows = [row for row in box.state.services.all() if row.url and row.state is State.RUNNING]
    return {(which.endpoint, which.release): str(row.url) for row in rows if (which := Replica.of(row.name))}


def measured(box: Box) -> dict[str, dict[str, Peak]]:
    """What the steps of the project's flows took in their last runs, by flow and step."""
    from boxplat.adapters import flows
    from boxplat.export.sources import flow_files
    from boxplat.runs.profiles.expected import RUNS

    names = [flows.read(file).name for file in flow_files(box.paths.root / "flows")]
    found = {}
    for name in names:
        steps: dict[str, list[Peaks]] = {}
        for row in box.state.profiles.peaks(name, RUNS):
            steps.setdefault(row.step, []).append(row)
        found[name] = {step: _peak(rows) for step, rows in sorted(steps.items())}
    return {name: steps for name, steps in found.items() if steps}


def _peak(rows: list[Peaks]) -> Peak:
    from boxplat.export import Peak

    return Peak(
        memory_mib=max(row.resident for row in rows) / 2**20,
        vram_mib=max(row.vram for row in rows) / 2**20,
        cpu=max(row.cores for row in rows),
        seconds=max((row.seconds for row in rows if row.seconds is not None), default=0.0),
        runs=len(rows),
    )
