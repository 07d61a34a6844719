"""`box export --check`: an export held against every rule, offline, reading nothing but its folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from boxplat.export.check import (
    argo,
    enums,
    files,
    folder,
    graphs,
    images,
    kustomized,
    measured,
    names,
    networks,
    plain,
    references,
    resources,
    scaling,
    schemas,
    security,
    selectors,
    sensors,
    table,
)
from boxplat.export.check.model import Fault, Manifest, Manifests, Report, Rule
from boxplat.export.pointers import written

__all__ = ["ABOUT", "RULES", "Fault", "Report", "broken", "check"]

_ROOMS = (
    names,
    references,
    selectors,
    networks,
    resources,
    measured,
    scaling,
    security,
    images,
    enums,
    argo,
    graphs,
    sensors,
    plain,
)
RULES: tuple[Rule, ...] = tuple(rule for room in _ROOMS for rule in room.RULES)
# Every name under which a fault is found, with what must hold.
ABOUT = {
    **{rule.name: rule.about for rule in RULES},
    **schemas.ABOUT,
    **folder.ABOUT,
    **kustomized.ABOUT,
    **files.ABOUT,
    **table.ABOUT,
}


def check(
    place: Path,
    with_schemas: bool = True,
    told: Callable[[str], None] = lambda line: None,
) -> Report:
    """Check an export.

    Args:
        place: the folder that `box export kubernetes` wrote.
        with_schemas: hold every field against the schemas of the extra `export` too.
        told: hears of work that takes seconds.

    Raises:
        BoxError: it is no export (exit code 9), its lock cannot be read, or the schemas are missing (4).
    """
    if with_schemas:
        schemas.must_be_there()
    there = folder.read(place)
    told("reading the manifests")
    rows, wrong = table.read(there)
    faults = {*there.faults(), *wrong, *kustomized.faults(there, place), *files.faults(there, _local())}
    every = _different([*there.apart, *(one for overlay in there.overlays.values() for one in overlay.all)])
    for overlay in there.overlays.values():
        faults |= set(_whole(overlay))
    faults |= set(_alone(every))
    if with_schemas:
        told(f"holding {len(every)} manifests against the schemas")
        faults |= set(schemas.faults(every))
    return Report(
        faults=tuple(sorted(faults)),
        parity=rows,
        overlays=tuple(there.overlays),
        documents=len(every),
        versions=schemas.VERSIONS if with_schemas else (),
        unchecked=tuple(note for note in _notes(with_schemas) if note),
    )


def broken(manifests: Manifests) -> list[Fault]:
    """The rules that a set of manifests breaks, without files, schemas and parity."""
    return sorted({*_alone(manifests.all), *_whole(manifests)})


def _alone(manifests: Iterable[Manifest]) -> Iterator[Fault]:
    for manifest in manifests:
        for rule in RULES:
            if rule.document is not None:
                for where, what in rule.document(manifest):
                    yield Fault(rule.name, manifest.title, written(where), what)


def _whole(manifests: Manifests) -> Iterator[Fault]:
    for rule in RULES:
        if rule.whole is not None:
            for manifest, where, what in rule.whole(manifests):
                yield Fault(rule.name, manifest.title, written(where), what)


def _different(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Each document once, however many overlays have it."""
    found = {json.dumps(one.document, sort_keys=True, default=str): one for one in manifests}
    return list(found.values())


def _notes(with_schemas: bool) -> Iterator[str]:
    yield kustomized.unchecked()
    if not with_schemas:
        yield "schema, argo-model: left out by --without-schemas"


def _local() -> tuple[str, ...]:
    """Folders of this machine whose paths must not be in an export; a system-wide Python's is everybody's."""
    own = [sys.prefix] if sys.prefix != sys.base_prefix else []
    return (*own, f"{Path.home()}/")
