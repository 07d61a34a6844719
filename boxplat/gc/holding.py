"""What must stay, and why: what is live, what it is made of, what the record cites, what somebody pinned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from boxplat.adapters.tracking_store import Tracked, TrackedVersion
from boxplat.core.model import Release, Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.gc.model import Limits
from boxplat.releases.lineage import live_before
from boxplat.runs.resend import pending

_LIVE = frozenset({"live", "shadow", "created"})
_CITED = ("model.promoted", "model.alias", "rollback")


@dataclass(frozen=True, slots=True)
class Held:
    """Reasons by run number, by tracking run, by model version, and by Bento; `releases` by endpoint and number."""

    runs: Mapping[int, str] = field(default_factory=dict)
    tracking: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[tuple[str, int], str] = field(default_factory=dict)
    bentos: Mapping[str, str] = field(default_factory=dict)
    releases: Mapping[tuple[str, int], str] = field(default_factory=dict)


def held(state: StateStore, paths: Paths, tracked: Tracked, runs: Iterable[Run], limits: Limits) -> Held:
    """Everything that must stay."""
    pins = {pin.subject for pin in state.disposal.pins()}
    releases = state.releases.all()
    kept = _releases(state, releases, limits)
    versions = _versions(state, tracked, releases, pins, limits)
    tracking = _tracking(tracked, releases, versions)
    bentos = {one.bento: why for one in releases if (why := kept.get((one.endpoint, one.number)))}
    elsewhere = {run.id for run in tracked.runs if run.folder is None}
    own = _runs(state, paths, list(runs), pins, tracking, elsewhere, limits)
    return Held(own, tracking, versions, bentos, kept)


def bentos_needed(state: StateStore, limits: Limits) -> set[str]:
    """Bentos of the releases that must stay."""
    releases = state.releases.all()
    kept = _releases(state, releases, limits)
    return {one.bento for one in releases if (one.endpoint, one.number) in kept}


def _releases(state: StateStore, releases: list[Release], limits: Limits) -> dict[tuple[str, int], str]:
    """Releases that serve, that a rollback may return to, or that are among the newest."""
    found: dict[tuple[str, int], str] = {}
    busy = {number for change in state.changes.current() for number in change.releases | change.released}
    for endpoint in {one.endpoint for one in releases}:
        own = sorted((one for one in releases if one.endpoint == endpoint), key=lambda one: one.number)
        failed = {one.number for one in own if one.state == "failed"}
        served = {*state.releases.traffic(endpoint), state.releases.shadow(endpoint)}
        before = live_before(state.changes.history(endpoint), failed) or {}
        newest = {one.number for one in own if one.number not in failed}
        newest = set(sorted(newest)[-limits.keep :]) if limits.keep else set()
        for one in own:
            if one.number in served or one.state in _LIVE or one.number in busy:
                found[endpoint, one.number] = "live"
            elif one.number in before:
                found[endpoint, one.number] = "a rollback returns to it"
            elif one.number in newest:
                found[endpoint, one.number] = "among the newest"
    return found


def _versions(
    state: StateStore, tracked: Tracked, releases: list[Release], pins: set[str], limits: Limits
) -> dict[tuple[str, int], str]:
    """Model versions that somebody may still ask for."""
    released = {(one.model, one.model_version) for one in releases}
    cited = {
        (entry.subject.removeprefix("model/"), entry.data.get("version"))
        for entry in state.record.entries(kinds=_CITED)
        if entry.subject.startswith("model/")
    }
    found = {}
    for one in tracked.versions:
        why = _why(one, released, cited, pins)
        if why or not limits.models:
            found[one.name, one.version] = why or "registered"
    return found


def _why(
    one: TrackedVersion, released: set[tuple[str | None, int | None]], cited: set[tuple[str, object]], pins: set[str]
) -> str:
    key = (one.name, one.version)
    if key in released:
        return "released"
    if one.aliases:
        return f"it has the alias {one.aliases[0]}"
    if key in cited:
        return "cited by the record"
    return "pinned" if f"model/{one.name}/{one.version}" in pins else ""


def _tracking(tracked: Tracked, releases: list[Release], versions: Mapping[tuple[str, int], str]) -> dict[str, str]:
    """Tracking runs that versions and releases came from, with the runs that these are part of."""
    found: dict[str, str] = {one.run: "a release came from it" for one in releases if one.run}
    logged = {model.id: model.run for model in tracked.models}
    for one in tracked.versions:
        why = versions.get((one.name, one.version))
        if why:
            for run in (one.run, logged.get(one.logged or "")):
                if run:
                    found.setdefault(run, f"a model version came from it ({why})")
    parents = {run.id: run.parent for run in tracked.runs}
    for run in list(found):
        above = parents.get(run)
        while above and above not in found:
            found[above] = found[run]
            above = parents.get(above)
    return found


def _runs(
    state: StateStore,
    paths: Paths,
    runs: list[Run],
    pins: set[str],
    tracking: Mapping[str, str],
    elsewhere: set[str],
    limits: Limits,
) -> dict[int, str]:
    """Runs that are under way, that something came from, and those that these were resumed from."""
    unsent, newest, sweeps = set(pending(paths)), _newest(runs, limits.keep), set(state.sweeps.unfinished())
    # A flow that another one has triggered reads what that one has left.
    causes = {int(cause) for run in runs if not run.state.over for cause in run.options.get("causes", ())}
    found: dict[int, str] = {}
    for run in runs:
        tracked = run.tracking_run_id or ""
        reasons = (
            ("under way", run.id in causes or not run.state.over),
            ("pinned", f"run/{run.id}" in pins),
            (tracking.get(tracked, ""), tracked in tracking),
            ("its tracked files lie elsewhere", tracked in elsewhere),
            ("tracking lacks something of it", run.id in unsent),
            ("its sweep goes on", run.options.get("sweep") in sweeps),
            ("among the newest", run.id in newest),
        )
        why = next((reason for reason, holds in reasons if holds), None)
        if why:
            found[run.id] = why
    return _with_origins(found, {run.id: run for run in runs})


def _with_origins(found: dict[int, str], runs: Mapping[int, Run]) -> dict[int, str]:
    """With the runs that those which are kept were resumed from."""
    for number in list(found):
        origin = runs[number].options.get("resume")
        while origin is not None and int(origin) in runs and int(origin) not in found:
            found[int(origin)] = "resumed by one that is kept"
            origin = runs[int(origin)].options.get("resume")
    return found


def _newest(runs: list[Run], keep: int) -> set[int]:
    """The newest runs of each flow, and of those that succeeded."""
    found: set[int] = set()
    for flow in {run.name for run in runs}:
        own = sorted((run for run in runs if run.name == flow), key=lambda run: -run.id)
        succeeded = [run for run in own if run.state is RunState.SUCCEEDED]
        found.update(run.id for run in (*own[:keep], *succeeded[:keep]))
    return found
