"""`box models calibrate`: the back end of a model version, measured here and recorded on the version."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.adapters import bentos, gpu, tracking_models
from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core import digests
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import ModelVersion
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.models import tracking_url, versions

if TYPE_CHECKING:
    from boxplat.serving.backends.choice import Choice
    from boxplat.serving.backends.selection import Measured, Plan
    from boxplat.serving.backends.source import Source
    from boxplat.serving.backends.table import Table

_CHAMPION = "champion"


@dataclass(frozen=True)
class Wanted:
    """What to calibrate and how; None where boxplat knows best.

    `version` or `alias` of the model; `batches`: rows a call; `data`: rows to check answers on; `tolerance` and
    `reduced_tolerance`: largest difference relative to the scale of the answers, the second for back ends with fewer
    bits than the model; `metric`: the quality to keep; `dry_run`: record nothing.
    """

    name: str
    version: int | None = None
    alias: str | None = None
    batches: tuple[int, ...] | None = None
    data: Path | None = None
    tolerance: float | None = None
    reduced_tolerance: float | None = None
    metric: str | None = None
    threads: int = 1
    dry_run: bool = False


@dataclass(frozen=True)
class Calibration:
    """What was found for a version: the choice, the figures of each back end, and whether the version has them now."""

    name: str
    version: int
    choice: Choice
    results: tuple[Measured, ...]
    recorded: bool


def calibrate(
    state: StateStore, paths: Paths, config: Config, wanted: Wanted, by: str, told: Callable[[str], None]
) -> Calibration:
    """Measure the back ends of a model version, choose, and record the choice on the version.

    Raises:
        BoxError: no such version (exit code 9), tracking does not run (3), no rows to check answers on (4), or not even
            the reference runs (5).
    """
    from boxplat.serving.backends import selection, source, table

    version = _version(state, wanted)
    url = tracking_url(state)
    with tempfile.TemporaryDirectory(prefix="calibrate-", dir=paths.state) as place:
        told(f"fetching {version.name} version {version.version}")
        folder = Path(place)
        tracking_models.fetch(f"models:/{version.name}/{version.version}", folder, url)
        rows = table.find(folder, wanted.data)
        plan = _plan(state, wanted, paths)
        results = selection.calibrate(folder, rows, plan, child_environment(paths, config, url), told)
        winner = selection.chosen(results)
        if winner is None:
            raise _nothing_runs(version, results)
        choice = _choice(source.in_folder(folder), winner, results, plan, rows)
        if not wanted.dry_run:
            _record(url, version, choice, folder)
            facts = {"model": version.name, "version": version.version, "backend": choice.backend, "by": by}
            state.events.append("models", "models.calibrated", facts)
    return Calibration(version.name, version.version, choice, results, not wanted.dry_run)


def _version(state: StateStore, wanted: Wanted) -> ModelVersion:
    """The version by number or alias, else the champion, else the newest."""
    found = versions(state, wanted.name)
    if wanted.version is not None:
        exact = [one for one in found if one.version == wanted.version]
        known = [str(one.version) for one in found]
        what = f"version {wanted.version} of model"
    else:
        alias = wanted.alias or _CHAMPION
        exact = [one for one in found if alias in one.aliases] or ([] if wanted.alias else found)
        known = sorted({alias for one in found for alias in one.aliases})
        what = f"alias {alias!r} of model"
    if not exact:
        raise not_found(what, wanted.name, known, f"box models show {wanted.name}")
    return exact[0]


def _plan(state: StateStore, wanted: Wanted, paths: Paths) -> Plan:
    from boxplat.serving.backends.selection import Limits, Plan

    standard = Limits()
    limits = Limits(
        standard.tolerance if wanted.tolerance is None else wanted.tolerance,
        standard.reduced if wanted.reduced_tolerance is None else wanted.reduced_tolerance,
    )
    batches = wanted.batches or _sizes(state, wanted.name, paths)
    return Plan(batches, wanted.threads, wanted.metric, bool(gpu.read()[0]), limits)


def _sizes(state: StateStore, model: str, paths: Paths) -> tuple[int, ...]:
    """Rows a call: small batches, and the largest that an endpoint with this model makes."""
    from boxplat.serving.backends.loading import BATCHES

    bentos_with_it = {release.bento for release in state.releases.all() if release.model == model}
    largest = max((bentos.largest_batch(paths, tag) or 0 for tag in bentos_with_it), default=0)
    if not largest:
        return BATCHES
    return tuple(sorted({largest, *(size for size in BATCHES if size < largest)}))


def _choice(source: Source, winner: Measured, results: Sequence[Measured], plan: Plan, rows: Table) -> Choice:
    from boxplat.serving.backends.choice import Choice, machine
    from boxplat.serving.backends.selection import versions as installed
    from boxplat.serving.backends.source import PROBE

    files = [PROBE, *source.made_for(winner.backend)]
    return Choice(
        backend=winner.backend,
        files={name: digests.of_file(source.folder / name) for name in files},
        tolerance=plan.limits.of(winner.backend),
        batches=plan.batches,
        threads=plan.threads,
        machine=machine() | {"gpus": [found.name for found in gpu.read()[0]]},
        versions=installed(),
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        rows=f"{len(rows)} ({rows.origin})",
        results=tuple(asdict(row) for row in results),
    )


def _record(url: str, version: ModelVersion, choice: Choice, folder: Path) -> None:
    """Files first: a version whose tag says so has what it takes.

    Raises:
        BoxError: tracking does not answer (exit code 3), or does not take it (1).
    """
    from boxplat.serving.backends.choice import EVIDENCE, TAG
    from boxplat.serving.backends.source import CHOICE

    (folder / CHOICE).write_text(choice.text(), encoding="utf-8")
    api = TrackingApi(url)
    name, number = version.name, str(version.version)
    try:
        place = api.location(name, number)
        for path in (*choice.files, CHOICE):
            api.upload(place, path, (folder / path).read_bytes())
        api.tag_version(name, number, {EVIDENCE: choice.text(), TAG: choice.backend})
    except (TrackingDownError, TrackingRefusedError) as error:
        raise BoxError(
            f"the choice of {choice.backend} for {name} version {number} is not recorded",
            why=f"the tracking server: {error}",
            fix="box wait tracking   (then calibrate again; box models show NAME says whether the version is there)",
            code=ExitCode.NO_BOX if isinstance(error, TrackingDownError) else ExitCode.FAILED,
        ) from error


def _nothing_runs(version: ModelVersion, results: Sequence[Measured]) -> BoxError:
    return BoxError(
        f"no back end runs {version.name} version {version.version}",
        why="\n".join(f"{row.backend}: {row.reason}" for row in results),
        fix="box doctor   (and see that the model loads: boxplat.serving.backends.load)",
        code=ExitCode.GATE_REFUSED,
    )
