"""Two runs of a flow compared, task by task and artifact by artifact."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boxplat.core.export_config import VerifyConfig
from boxplat.export.verify.artifacts import Key, RunRecord
from boxplat.export.verify.values import Comparison

# Of what Metaflow keeps for itself, only how a task ended is the same everywhere.
_OWN = ("_task_ok", "_success")
# Metrics of a local run that the box records: they are of the machine.
_RECORDED = ("duration_seconds", "step.", "boxplat.")
IDENTICAL, EQUAL, CLOSE, VARIES, DIFFERENT = "identical", "equal", "within tolerance", "declared to vary", "different"
# Something to compare is missing, and the finding says what: neither the same nor a difference.
UNCOMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing compares. `task` is a step and its foreach position, `identical` means the same bytes."""

    task: str
    name: str
    verdict: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """How the answers of an exported server compare: `of` names what is served, `local` what they are compared with."""

    of: str
    local: str
    findings: tuple[Finding, ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where values are loaded: the folder of the flows, the flow's module, and names for folders of both sides."""

    folder: Path
    module: str
    places: Mapping[str, str] = field(default_factory=dict)


def tasks(local: RunRecord, other: RunRecord, declared: VerifyConfig, sources: Sources) -> list[Finding]:
    """Compare the artifacts of all tasks of two runs, joined by step and position in foreach splits."""
    found: list[Finding] = []
    unequal: list[tuple[Finding, str, str]] = []
    for key in sorted(local.tasks.keys() | other.tasks.keys()):
        if key not in local.tasks or key not in other.tasks:
            where = "in the local run only" if key in local.tasks else "in the exported run only"
            found.append(Finding(_label(key), "", DIFFERENT, f"the task is {where}"))
            continue
        ours, theirs = _public(local.tasks[key].artifacts), _public(other.tasks[key].artifacts)
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) == theirs.get(name):
                found.append(Finding(_label(key), name, IDENTICAL))
            elif name not in ours or name not in theirs:
                where = "in the local run only" if name in ours else "in the exported run only"
                found.append(Finding(_label(key), name, DIFFERENT, where))
            else:
                unequal.append((Finding(_label(key), name, DIFFERENT), ours[name], theirs[name]))
    return found + _judged(unequal, local, other, declared, sources)


def logged(
    kind: str,
    ours: Mapping[str, object],
    theirs: Mapping[str, object],
    declared: VerifyConfig,
    box: Collection[str] = (),
) -> list[Finding]:
    """Compare what two tracking runs logged under the same names (texts, or numbers).

    Args:
        box: names that the box itself records of a local run, beside those of times and of what steps took.
    """
    recorded = {name for name in ours if name in box or name.startswith(_RECORDED)}
    ours = {name: value for name, value in ours.items() if name in theirs or name not in recorded}

    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs:
            verdict, why = DIFFERENT, f"in the {'local' if name in ours else 'exported'} run only"
        else:
            why = Comparison(declared.tolerance.get(name, 0.0)).difference(ours[name], theirs[name])
            exact = ours[name] == theirs[name]
            verdict = IDENTICAL if exact else DIFFERENT if why else CLOSE
        if verdict == DIFFERENT and name in declared.varies:
            verdict = VARIES
        found.append(Finding(kind, name, verdict, why))
    return found


def answered(finding: Finding, ours: object, theirs: object, declared: VerifyConfig) -> Finding:
    """The finding with the verdict on two answers of other bytes, declared under the name of its task."""
    name = finding.task
    tolerance, keys = declared.tolerance.get(name, 0.0), _keys(name, declared)
    why = Comparison(tolerance, varies=keys).difference(ours, theirs)
    verdict = VARIES if keys else CLOSE if tolerance else EQUAL
    if why:
        verdict = VARIES if name in declared.varies else DIFFERENT
    return Finding(name, finding.name, verdict, why)


def _label(key: Key) -> str:
    step, index = key
    return step + "".join(f"[{position}]" for position in index)


def _public(artifacts: Mapping[str, str]) -> dict[str, str]:
    return {name: blob for name, blob in artifacts.items() if not name.startswith("_") or name in _OWN}


def _judged(
    unequal: Sequence[tuple[Finding, str, str]],
    local: RunRecord,
    other: RunRecord,
    declared: VerifyConfig,
    sources: Sources,
) -> list[Finding]:
    """Whether artifacts of different bytes are equal in value, near enough, or declared to vary."""
    pairs = [
        {
            "one": base64.b64encode(local.blob(ours)).decode(),
            "other": base64.b64encode(other.blob(theirs)).decode(),
            "tolerance": declared.tolerance.get(finding.name, 0.0),
            "varies": _keys(finding.name, declared),
        }
        for finding, ours, theirs in unequal
    ]
    found = []
    for (finding, _, _), why in zip(unequal, _differences(pairs, sources), strict=True):
        verdict = VARIES if _keys(finding.name, declared) else CLOSE if finding.name in declared.tolerance else EQUAL
        if why:
            verdict = VARIES if finding.name in declared.varies else DIFFERENT
        found.append(Finding(finding.task, finding.name, verdict, why))
    return found


def _keys(name: str, declared: VerifyConfig) -> list[str]:
    """The patterns of `NAME.KEY` among what is declared to vary."""
    return [entry.removeprefix(f"{name}.") for entry in declared.varies if entry.startswith(f"{name}.")]


def _differences(pairs: Sequence[Mapping[str, object]], sources: Sources) -> list[str]:
    if not pairs:
        return []
    asked = {"module": sources.module, "places": dict(sources.places), "pairs": pairs}
    done = subprocess.run(
        [sys.executable, "-m", "boxplat.export.verify.values"],
        input=json.dumps(asked),
        cwd=sources.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        return [f"cannot be compared: {last}"] * len(pairs)
    answers: list[str] = json.loads(done.stdout)
    return answers
