"""What a text asks after: a release, a model version, a run or a prediction."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.releases.why import branches
from boxplat.releases.why.sources import Sources
from boxplat.releases.why.tree import Node
from boxplat.serving.log.deletions import Deleted

_RELEASE = re.compile(r"(?P<name>[^@/:]+)[@/](?P<number>[0-9]{1,9})")
_MODEL = re.compile(r"(?:models:/)?(?P<name>[^@/:]+)/(?P<number>[0-9]{1,9})")
_ALIAS = re.compile(r"models:/(?P<name>[^@/:]+)@(?P<alias>[^@/:]+)")
_RUN = re.compile(r"(?:run/)?(?P<number>[0-9]{1,9})")
_TRACKING = re.compile(r"[0-9a-f]{32}")
# Before an id that looks like something else.
_PREDICTION = "prediction/"
_ROW = re.compile(r"(?P<id>.+)/(?P<row>[0-9]{1,9})")


def found(sources: Sources, text: str) -> tuple[Node, tuple[str, ...]]:
    """What a text means, and how to ask for what else it may mean.

    Raises:
        BoxError: nothing (exit code 9).
    """
    readings = () if text.startswith(_PREDICTION) else (_releases, _versions, _aliases, _runs, _tracked)
    meant = [one for reading in readings for one in reading(sources, text)]
    meant += _predictions(sources, text.removeprefix(_PREDICTION))
    if not meant:
        raise _unknown(sources, text)
    return meant[0][1](), tuple(name for name, _ in meant[1:])


_Meant = list[tuple[str, Callable[[], Node]]]


def _releases(sources: Sources, text: str) -> _Meant:
    match = _RELEASE.fullmatch(text)
    release = sources.release(match["name"], int(match["number"])) if match else None
    if release is None:
        return []
    return [(f"{release.endpoint}@{release.number}", lambda: branches.of_release(sources, release))]


def _versions(sources: Sources, text: str) -> _Meant:
    match = _MODEL.fullmatch(text)
    if match is None:
        return []
    model, number = match["name"], int(match["number"])
    if sources.version(model, number) is None and not sources.serving(model, number):
        return []
    return [(f"models:/{model}/{number}", lambda: branches.of_version(sources, model, number))]


def _aliases(sources: Sources, text: str) -> _Meant:
    match = _ALIAS.fullmatch(text)
    if match is None:
        return []
    known = [one for one in sources.registry[0] if one.name == match["name"] and match["alias"] in one.aliases]
    made = partial(branches.of_version, sources)
    return [(f"models:/{one.name}/{one.version}", partial(made, one.name, one.version)) for one in known]


def _runs(sources: Sources, text: str) -> _Meant:
    match = _RUN.fullmatch(text)
    if match is None:
        return []
    try:
        run = sources.state.runs.get(int(match["number"]))
    except BoxError:
        return []
    return [(f"run/{run.id}", lambda: branches.of_run(sources, run, run.tracking_run_id))]


def _tracked(sources: Sources, text: str) -> _Meant:
    """A tracking run that this box, a registered version or a release knows."""
    if not _TRACKING.fullmatch(text):
        return []
    run = sources.run_of(text)
    if run is None and all(one.source_run_id != text for one in sources.registry[0]):
        if all(one.run != text for one in sources.releases):
            return []
    return [(text, lambda: branches.of_run(sources, run, text))]


def _predictions(sources: Sources, text: str) -> _Meant:
    rows = sources.logs.find(text)
    match = _ROW.fullmatch(text)
    if not rows and match:
        rows = sources.logs.find(match["id"], int(match["row"]))
    return [(f"{_PREDICTION}{text}", lambda: branches.of_prediction(sources, *rows[0]))] if rows else []


def _unknown(sources: Sources, text: str) -> BoxError:
    known = [f"{one.endpoint}@{one.number}" for one in sources.releases]
    known += [f"models:/{one.name}/{one.version}" for one in sources.registry[0]]
    known += [f"run/{one.id}" for one in sources.state.runs.all()]
    near = nearest(text, [*known, *sources.logs.nearest(text)])
    logs = ", ".join(sources.logs.endpoints) or "no endpoint"
    why = [f"it is no release, model version or run; no prediction in the log of {logs} has this id"]
    why += [_deleted(endpoint, gone) for endpoint, gone in sources.logs.deleted().items()]
    if sources.registry[1]:
        why.append(f"models cannot be looked up: {sources.registry[1]}")
    return BoxError(
        f"nothing is known of {text!r}{near}",
        why="\n".join(why),
        fix="box predictions NAME | box endpoints | box models list | box runs   (what there is to ask after)",
        code=ExitCode.NOT_FOUND,
    )


def _deleted(endpoint: str, gone: list[Deleted]) -> str:
    count = sum(one.predictions for one in gone)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(max(one.end or one.deleted for one in gone)))
    reasons = " and ".join(sorted({"log_days" if one.why == "age" else "log_mib" for one in gone}))
    return (
        f"the log of {endpoint} no longer has {count} predictions up to {until}, which retention deleted ({reasons}): "
        "if it was one of them, what was live then is in: "
        f"box endpoints history {endpoint}"
    )
