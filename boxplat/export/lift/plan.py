"""What a lift will do, found out without doing it: every object compared with the cluster's by a dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from boxplat.adapters.cluster import OWNER, Cluster, Kind, Refusal
from boxplat.export.lift.bundle import Bundle, Ref, ref
from boxplat.export.lift.findings import Finding, Level, blocked
from boxplat.export.lift.journal import Target
from boxplat.export.lift.preflight import KEPT
from boxplat.export.lift.refusals import remedy
from boxplat.export.lift.rollout import failed
from boxplat.export.model import Document

Kinds = Mapping[tuple[str, str], Kind]
# The label of what a lift makes for itself only.
ONCE = "boxplat/lift"

# What the server sets by itself, and what changes without anybody's doing.
_SERVERS = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    SAME = "same"
    DELETE = "delete"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Step:
    """One object and what becomes of it."""

    action: Action
    ref: Ref


@dataclass(frozen=True, slots=True)
class Plan:
    """What a lift will do, in the order in which it does it.

    `steps` are the objects; `work` is what is done besides them, one line each, in order; `of` is the lift that is
    gone back to (0: none). `overlay` and `digest` tell the export. `given` are objects that are there already, which
    the user may not change.
    """

    target: Target
    overlay: str
    digest: str
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    work: tuple[str, ...] = ()
    of: int = 0
    given: tuple[Ref, ...] = ()

    @property
    def dangers(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level is Level.DANGER]

    def count(self, action: Action) -> int:
        return sum(step.action is action for step in self.steps)


@dataclass(frozen=True, slots=True)
class Compared:
    """The export against the cluster: what becomes of each object, those there are, what it refused or warned of."""

    steps: list[Step] = field(default_factory=list)
    live: dict[Ref, Document | None] = field(default_factory=dict)
    refused: list[Finding] = field(default_factory=list)
    warned: list[Finding] = field(default_factory=list)


def compare(cluster: Cluster, kinds: Kinds, bundle: Bundle, take_over: bool, told: Callable[[str], None]) -> Compared:
    """A strict dry run of every object on the server. Changes nothing.

    Objects of a namespace that does not exist cannot be tried, so that they are only said to be created.
    """
    found = Compared()
    namespace = Kind("v1", "Namespace", "namespaces", namespaced=False)
    there = cluster.read(namespace, bundle.namespace) is not None
    for number, document in enumerate(bundle.documents, start=1):
        name = ref(document)
        kind = kinds.get((name.api_version, name.kind))
        if kind is None:
            continue
        if number % 25 == 0:
            told(f"tried {number} of {len(bundle.documents)} objects on the cluster")
        if kind.namespaced and not there:
            found.live[name] = None
            found.steps.append(Step(Action.CREATE, name))
            continue
        live = found.live[name] = cluster.read(kind, name.name, name.namespace)
        try:
            tried = cluster.apply(kind, document, dry_run=True, force=take_over)
            found.warned.extend(Finding(Level.DANGER, "warning", f"{name}: {text}") for text in cluster.warnings())
            again = name.kind == "Job" and failed(live)
            found.steps.append(Step(Action.REPLACE if again else _action(live, tried), name))
        except Refusal as refusal:
            if name.kind == "Job" and "immutable" in refusal.message:
                found.steps.append(Step(Action.REPLACE, name))
            else:
                found.refused.append(_refused(name, refusal))
    return found


def labelled(cluster: Cluster, kinds: Kinds, bundle: Bundle) -> set[Ref]:
    """What bears the project's labels on the cluster, whoever has put it there: lifts from other machines, `kubectl`.

    What controllers make, and the jobs of single lifts, are nobody's to delete.
    """
    selector = f"app.kubernetes.io/managed-by={OWNER},app.kubernetes.io/part-of={bundle.project}"
    there = set()
    for kind in kinds.values():
        try:
            found = list(cluster.list(kind, bundle.namespace, labelSelector=selector)) if kind.namespaced else []
        except Refusal as refusal:
            if refusal.code not in (403, 404):
                raise
            found = []
        own = [one["metadata"] for one in found if not one["metadata"].get("ownerReferences")]
        names = [metadata["name"] for metadata in own if ONCE not in metadata.get("labels", {})]
        there |= {Ref(kind.api_version, kind.name, name, bundle.namespace) for name in names}
    return there


def pruned(objects: Iterable[Ref], bundle: Bundle) -> list[Step]:
    """What earlier lifts put on the cluster and this export no longer has; what holds data stays."""
    kept = {(one.kind, one.namespace, one.name) for one in bundle.refs}
    gone = sorted(one for one in objects if (one.kind, one.namespace, one.name) not in kept)
    return [Step(Action.LEAVE if one.kind in KEPT else Action.DELETE, one) for one in gone]


def dangers(steps: Sequence[Step], first: bool, take_over: bool, target: Target) -> list[Finding]:
    """What in a plan a person should agree to."""
    found = []
    if first:
        found.append(Finding(Level.DANGER, "first", f"this project was never lifted to {target.server} from here"))
    gone = [str(step.ref) for step in steps if step.action is Action.DELETE]
    if gone:
        found.append(Finding(Level.DANGER, "delete", f"deletes {', '.join(gone)}"))
    replaced = [str(step.ref) for step in steps if step.action is Action.REPLACE]
    if replaced:
        found.append(Finding(Level.DANGER, "replace", f"deletes and makes anew {', '.join(replaced)}"))
    if take_over:
        found.append(Finding(Level.DANGER, "take-over", "takes fields over that others set"))
    return found


def _action(live: Document | None, tried: Document) -> Action:
    if live is None:
        return Action.CREATE
    return Action.SAME if _content(live) == _content(tried) and _owned(live) else Action.CHANGE


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in document["metadata"].items() if key not in _SERVERS}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


def _owned(live: Mapping[str, Any]) -> bool:
    """Whether an earlier lift applied it; else the first change is to say so."""
    entries = live["metadata"].get("managedFields", [])
    return any(entry.get("manager") == OWNER and entry.get("operation") == "Apply" for entry in entries)


def _refused(name: Ref, refusal: Refusal) -> Finding:
    if refusal.code == 409:
        fields = ", ".join(dict.fromkeys(field for field, _ in refusal.causes)) or "a field"
        owners = "; ".join(dict.fromkeys(message for _, message in refusal.causes)) or refusal.message
        return blocked("conflict", f"{name}: {fields}: {owners}", "box lift --take-over   (takes these fields over)")
    return blocked("dry-run", f"{name}: {refusal.message}", remedy(name, refusal.code, refusal.message))
