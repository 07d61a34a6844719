"""Each thing with what it was made of below it, and on the way back what it went into."""

from __future__ import annotations

from typing import Any

from boxplat.core.concealed import concealed
from boxplat.core.model import Release, Run
from boxplat.core.state.chain import Entry
from boxplat.releases.why import runs, telling
from boxplat.releases.why.periods import at, moment, shares
from boxplat.releases.why.sources import Sources
from boxplat.releases.why.tree import Node

# What was decided on a version.
DECISIONS = ("model.promoted", "model.refused", "model.alias", "rollback")
_CREATED = "release.created"


def of_prediction(sources: Sources, endpoint: str, row: dict[str, Any]) -> Node:
    """A prediction, the release that made it, and all that this was made of."""
    number = row["release"]
    release = sources.release(endpoint, number) if number is not None else None
    known = ("time", "status", "api", "seconds", "row", "rows", "model_version", "feature_service", "as_of")
    facts = {key: row.get(key) for key in (*known, "keys", "prediction", "features", "ages", "shadow", "problem")}
    notes = [] if release else [f"the box knows no release {number} of {endpoint}"]
    served = at(sources.periods(endpoint), row["time"])
    weight = served.weights.get(number, 0) if served else 0
    if release and served and not weight and served.shadow != number:
        notes.append(f"at that time the record has no traffic for release {number}: it was asked directly")
    if weight:
        facts["weight"] = weight
    if release and row.get("model_version") and str(release.model_version) != str(row["model_version"]):
        notes.append(f"the service says model version {row['model_version']}, its release has {release.model_version}")
    below = [*_outcome(sources, endpoint, row), *([of_release(sources, release, "made by")] if release else [])]
    name = str(row["id"]) if row["rows"] == 1 else f"{row['id']}/{row['row']}"
    return Node(
        "prediction", name, facts=_known({"endpoint": endpoint, **facts}), notes=tuple(notes), below=tuple(below)
    )


def _outcome(sources: Sources, endpoint: str, row: dict[str, Any]) -> list[Node]:
    found = sources.outcome(endpoint, row["id"], row["row"])
    if found is None:
        return []
    return [
        Node("outcome", str(found["label"]), "turned out", {"loss": found["loss"], "at": found["received"].timestamp()})
    ]


def of_release(sources: Sources, release: Release, role: str = "") -> Node:
    """A release, when it was live and what it answered, and what it was made of."""
    service = release.feature_service
    below = [_traffic(sources, release)]
    made = sources.of(f"endpoint/{release.endpoint}", _CREATED, "release.failed")
    own = [entry for entry in made if entry.data.get("number") == release.number]
    if release.evidence:
        below.append(_evidence(release, own))
    if release.model and release.model_version is not None:
        below.append(of_version(sources, release.model, release.model_version, "serves", down=False))
    if service:
        digests = [entry.data["features"] for entry in own if isinstance(entry.data.get("features"), dict)]
        below.append(
            Node("feature service", service, "reads", _known({"definitions": digests[0] if digests else None}))
        )
    facts = {
        "state": release.state,
        "made": release.created,
        "by": release.created_by,
        "bento": release.bento,
        "environment": release.environment,
        "settings": concealed(release.settings),
    }
    contradicted = [one for one in sources.verdict.faults if one.what == "contradicted"]
    notes = [f"failed: {' / '.join(str(entry.data['why']).splitlines())}" for entry in own if entry.data.get("why")]
    notes += [str(fault) for fault in contradicted if fault.number in {entry.number for entry in own}]
    record = tuple(entry.number for entry in own)
    return Node(
        "release", f"{release.endpoint}@{release.number}", role, _known(facts), tuple(notes), record, tuple(below)
    )


def _traffic(sources: Sources, release: Release) -> Node:
    counted = sources.logs.counted(release.endpoint, release.number)
    found = shares(sources.periods(release.endpoint), release.number)
    below = tuple(
        Node(
            "shadow" if one.shadow else "share",
            "" if one.shadow else f"{one.weight} %",
            facts={"from": one.begin, "until": one.end},
            record=one.record,
        )
        for one in found
    )
    facts = {
        "predictions": counted.predictions,
        "shadow": counted.shadow,
        "failed": counted.failed,
        "deleted": counted.deleted,
        "first": counted.first,
        "last": counted.last,
    }
    shown = {key: value for key, value in facts.items() if value or key == "predictions"}
    return Node("traffic", "" if found else "none", facts=shown, below=below)


def _evidence(release: Release, own: list[Entry]) -> Node:
    judged = {one.name: f"{one.outcome}: {one.words}" for one in telling.gates({"evidence": release.evidence})}
    record = tuple(entry.number for entry in own if entry.kind == _CREATED)
    return Node("evidence", "", facts=judged or dict(release.evidence), record=record)


def of_version(sources: Sources, model: str, version: int, role: str = "", down: bool = True) -> Node:
    """A model version, what was decided on it, the run that made it; and with `down` the releases that it went into."""
    known, why_not = sources.version(model, version), sources.registry[1]
    below = [
        _decision(entry) for entry in sources.of(f"model/{model}", *DECISIONS) if entry.data.get("version") == version
    ]
    facts: dict[str, Any] = {}
    notes = [] if known else [why_not or "the registry does not know it any more"]
    if known:
        facts = {"registered": known.created, "aliases": list(known.aliases), "tags": _plain_tags(known.tags)}
    tracking = sources.came_from(model, version)
    if tracking:
        below.append(of_run(sources, sources.run_of(tracking), tracking, "came from", down=False))
    elif not why_not:
        notes.append("the registry does not say which run it came from")
    serving = sources.serving(model, version)
    if down:
        below += [_went_into(sources, release) for release in serving]
    else:
        facts["releases"] = [f"{one.endpoint}@{one.number}" for one in serving]
    return Node("model version", f"models:/{model}/{version}", role, _known(facts), tuple(notes), below=tuple(below))


def _decision(entry: Entry) -> Node:
    judged = {one.name: f"{one.outcome}: {one.words}" for one in telling.gates(entry.data)}
    facts = {"at": moment(entry), "by": entry.by, "reason": entry.data.get("reason"), "gates": judged}
    return Node("decision", telling.what(entry), facts=_known(facts), record=(entry.number,))


def _plain_tags(tags: Any) -> dict[str, str]:
    """Without those that hold a document."""
    return {key: value for key, value in tags.items() if len(value) <= 120 and not value.startswith("{")}


def of_run(sources: Sources, run: Run | None, tracking: str | None, role: str = "", down: bool = True) -> Node:
    """A run, its code, parameters and data; and with `down` the versions that it registered."""
    found = runs.kept(sources.state, sources.paths, run, tracking)
    facts: dict[str, Any] = {"tracking_run": tracking, "metrics": dict(found.metrics)}
    if run:
        queued = next(
            (one for one in sources.state.events.all(subject=f"run/{run.id}") if one.kind == "run.queued"), None
        )
        facts |= {"flow": run.flow, "state": run.state.value, "by": queued.data.get("by") if queued else None}
        facts |= {"started": run.started, "ended": run.ended, "metaflow": run.pathspec}
    below = list(runs.made_of(sources.state, sources.paths, run, found))
    notes = [found.note] if found.note else []
    if not run:
        notes.append("this box did not run it")
    if down:
        below += _registered(sources, tracking)
        notes += [sources.registry[1]] if sources.registry[1] else []
    name = str(run.id) if run else str(tracking)
    return Node("run", name, role, _known(facts), tuple(notes), below=tuple(below))


def _registered(sources: Sources, tracking: str | None) -> list[Node]:
    """The versions that a run registered, each with the releases that it went into."""
    if tracking is None:
        return []
    found = {(one.name, one.version) for one in sources.registry[0] if one.source_run_id == tracking}
    found |= {(one.model, one.model_version or 0) for one in sources.releases if one.run == tracking and one.model}
    return [
        Node(
            "model version",
            f"models:/{model}/{version}",
            "registered",
            _known({"aliases": list(known.aliases) if (known := sources.version(model, version)) else None}),
            below=(
                *(
                    _decision(one)
                    for one in sources.of(f"model/{model}", *DECISIONS)
                    if one.data.get("version") == version
                ),
                *(_went_into(sources, release) for release in sources.serving(model, version)),
            ),
        )
        for model, version in sorted(found)
    ]


def _went_into(sources: Sources, release: Release) -> Node:
    facts = {"state": release.state, "made": release.created, "by": release.created_by, "bento": release.bento}
    name = f"{release.endpoint}@{release.number}"
    return Node("release", name, "went into", facts, below=(_traffic(sources, release),))


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value not in (None, "", {}, [])}
