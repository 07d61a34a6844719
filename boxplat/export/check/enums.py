"""Words out of a closed list, which Kubernetes' published schemas leave open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from boxplat.export.check.model import Found, Manifest
from boxplat.export.check.pods import created
from boxplat.export.check.rules import each_document
from boxplat.export.pointers import Pointer, at, mapping, nodes

_WORDS: Mapping[str, frozenset[str]] = {
    "imagePullPolicy": frozenset({"Always", "IfNotPresent", "Never"}),
    "restartPolicy": frozenset({"Always", "OnFailure", "Never"}),
    "concurrencyPolicy": frozenset({"Allow", "Forbid", "Replace"}),
    "preemptionPolicy": frozenset({"Never", "PreemptLowerPriority"}),
    "protocol": frozenset({"TCP", "UDP", "SCTP"}),
    "terminationMessagePolicy": frozenset({"File", "FallbackToLogsOnError"}),
    "dnsPolicy": frozenset({"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}),
    "whenUnsatisfiable": frozenset({"DoNotSchedule", "ScheduleAnyway"}),
    "sessionAffinity": frozenset({"ClientIP", "None"}),
    "retryPolicy": frozenset({"Always", "OnFailure", "OnError", "OnTransientError"}),
    "completionMode": frozenset({"Indexed", "NonIndexed"}),
    "medium": frozenset({"", "Memory"}),
}
# By the key of the mapping that they stand in.
_WITHIN: Mapping[tuple[str, str], frozenset[str]] = {
    ("strategy", "type"): frozenset({"RollingUpdate", "Recreate"}),
    ("seccompProfile", "type"): frozenset({"RuntimeDefault", "Localhost", "Unconfined"}),
    ("target", "type"): frozenset({"Utilization", "AverageValue", "Value"}),
    ("podGC", "strategy"): frozenset(
        {"OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess", ""}
    ),
}
_LISTS: Mapping[str, frozenset[str]] = {
    "policyTypes": frozenset({"Ingress", "Egress"}),
    "accessModes": frozenset({"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"}),
    "verbs": frozenset(
        {
            "get",
            "list",
            "watch",
            "create",
            "update",
            "patch",
            "delete",
            "deletecollection",
            "use",
            "bind",
            "escalate",
            "*",
        }
    ),
}


@each_document("enum-unknown")
def unknown(manifest: Manifest) -> Iterator[Found]:
    """A word out of a closed list is one of the list: of policies, protocols, access modes and the like."""
    yield from _wrong((), manifest.document)
    for path, template in nodes(manifest.document):
        if mapping(template, "resource"):
            yield from _wrong((*path, "resource", "manifest"), created(template))


def _wrong(base: Pointer, document: Mapping[str, object]) -> Iterator[Found]:
    for path, node in nodes(document):
        outer = str(path[-1]) if path else ""
        # Data, labels and environments are the user's own.
        if {"data", "labels", "annotations", "matchLabels", "parameters"} & set(path):
            continue
        for key, value in node.items():
            allowed = _WITHIN.get((outer, key), _WORDS.get(key))
            if allowed is not None and isinstance(value, str) and value not in allowed:
                yield (*base, *path, key), f"{value!r} is none of {', '.join(sorted(allowed))}"
            for word in value if key in _LISTS and isinstance(value, list) else ():
                if str(word) not in _LISTS[key]:
                    yield (*base, *path, key), f"{word!r} is none of {', '.join(sorted(_LISTS[key]))}"


@each_document("toleration-invalid")
def toleration(manifest: Manifest) -> Iterator[Found]:
    """A toleration has an operator and an effect that exist, and a value only where one is compared."""
    for path, node in nodes(manifest.document):
        tolerations = node.get("tolerations")
        for index, one in enumerate(tolerations if isinstance(tolerations, list) else ()):
            where = (*path, "tolerations", index)
            if at(one, "operator") not in (None, "Exists", "Equal", "Lt", "Gt"):
                yield (*where, "operator"), f"{at(one, 'operator')!r} is no operator"
            if at(one, "effect") not in (None, "", "NoSchedule", "PreferNoSchedule", "NoExecute"):
                yield (*where, "effect"), f"{at(one, 'effect')!r} is no effect"
            if at(one, "operator") == "Exists" and at(one, "value"):
                yield (*where, "value"), "Exists compares no value"


@each_document("null-value")
def null_value(manifest: Manifest) -> Iterator[Found]:
    """Nothing is null: a strict API server takes no null for a field that it does not know."""
    for path, node in nodes(manifest.document):
        for key, value in node.items():
            if value is None:
                yield (*path, key), "it is null"


RULES = (unknown, toleration, null_value)
