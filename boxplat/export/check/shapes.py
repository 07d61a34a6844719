"""The fields that boxplat uses of kinds that neither Kubernetes nor Argo brings: routes, monitors, JobSets, sensors.

Each is a subset of what the resource definition has, so that a wrong word is found without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.check.model import Fault, Manifest
from boxplat.export.pointers import Pointer, written

ABOUT = {
    "field-unknown": "A custom resource beside Argo's workflows has only fields that its definition has",
    "field-missing": "A custom resource beside Argo's workflows has the fields that its definition asks for",
    "field-type": "A field of a custom resource is of the type that it must have",
}
# A name with `!` must be there. A list of one shape is a list of such; `dict` is any mapping.
_PARENT = {"name!": str, "namespace": str, "sectionName": str, "kind": str, "group": str, "port": int}
_BACKEND = {"name!": str, "port": int, "weight": int, "kind": str, "group": str, "namespace": str}
_HEADER = {"name!": str, "value!": str, "type": str}
_MODIFIER = {"set": [_HEADER], "add": [_HEADER], "remove": [str]}
_FILTER = {
    "type!": str,
    "requestMirror": {"backendRef!": _BACKEND, "percent": int, "fraction": dict},
    "requestHeaderModifier": _MODIFIER,
    "responseHeaderModifier": _MODIFIER,
    "requestRedirect": dict,
    "urlRewrite": dict,
    "extensionRef": dict,
}
_MATCH = {"path": {"type": str, "value": str}, "headers": [_HEADER], "queryParams": [_HEADER], "method": str}
_CALL = {"method": {"type": str, "service": str, "method": str}, "headers": [_HEADER]}
_STICKY = {"sessionName": str, "type": str, "absoluteTimeout": str, "idleTimeout": str, "cookieConfig": dict}
_REQUESTS = {
    "name": str,
    "backendRefs": [_BACKEND | {"filters": [_FILTER]}],
    "filters": [_FILTER],
    "sessionPersistence": _STICKY,
    "retry": {"codes": [int], "attempts": int, "backoff": str},
    "timeouts": {"request": str, "backendRequest": str},
}
_KEY = {"name!": str, "key!": str, "optional": bool}
_SCRAPED = {
    "port": str,
    "targetPort": (str, int),
    "path": str,
    "interval": str,
    "scrapeTimeout": str,
    "scheme": str,
    "honorLabels": bool,
    "basicAuth": {"username!": _KEY, "password!": _KEY},
    "bearerTokenSecret": _KEY,
    "authorization": {"type": str, "credentials": _KEY},
    "tlsConfig": dict,
    "filterRunning": bool,
    "followRedirects": bool,
    "enableHttp2": bool,
    "params": dict,
    "relabelings": [dict],
    "metricRelabelings": [dict],
    "portNumber": int,
}
_SELECTOR = {"matchLabels": dict, "matchExpressions": [dict]}
_NAMESPACES = {"matchNames": [str], "any": bool}
_ALERT = {
    "alert": str,
    "record": str,
    "expr!": (str, int),
    "for": str,
    "keep_firing_for": str,
    "labels": dict,
    "annotations": dict,
}
_CREATED = {
    "operation": str,
    "source!": {"resource!": dict},
    "parameters": [{"src!": dict, "dest!": str, "operation": str}],
}
_TRIGGER = {
    "name!": str,
    "conditions": str,
    "conditionsReset": [dict],
    "argoWorkflow": _CREATED | {"args": [str]},
    "k8s": _CREATED | {"patchStrategy": str, "liveObject": bool},
    "http": dict,
    "log": dict,
}
_GATEWAY, _PROMETHEUS = "gateway.networking.k8s.io/v1", "monitoring.coreos.com/v1"
_SPECS: Mapping[tuple[str, str], Any] = {
    (_GATEWAY, "HTTPRoute"): {
        "parentRefs": [_PARENT],
        "hostnames": [str],
        "rules": [_REQUESTS | {"matches": [_MATCH]}],
    },
    (_GATEWAY, "GRPCRoute"): {
        "parentRefs": [_PARENT],
        "hostnames": [str],
        "rules": [
            {key: shape for key, shape in _REQUESTS.items() if key not in ("retry", "timeouts")} | {"matches": [_CALL]}
        ],
    },
    (_PROMETHEUS, "ServiceMonitor"): {
        "selector!": _SELECTOR,
        "endpoints!": [_SCRAPED],
        "namespaceSelector": _NAMESPACES,
        "jobLabel": str,
        "targetLabels": [str],
        "podTargetLabels": [str],
        "sampleLimit": int,
    },
    (_PROMETHEUS, "PodMonitor"): {
        "selector!": _SELECTOR,
        "podMetricsEndpoints": [_SCRAPED],
        "namespaceSelector": _NAMESPACES,
        "jobLabel": str,
        "podTargetLabels": [str],
        "sampleLimit": int,
    },
    (_PROMETHEUS, "PrometheusRule"): {
        "groups": [
            {
                "name!": str,
                "interval": str,
                "limit": int,
                "labels": dict,
                "partial_response_strategy": str,
                "rules": [_ALERT],
            }
        ]
    },
    ("jobset.x-k8s.io/v1alpha2", "JobSet"): {
        "replicatedJobs": [
            {"name!": str, "template!": dict, "replicas": (int, str), "groupName": str, "dependsOn": [dict]}
        ],
        "coordinator": dict,
        "failurePolicy": dict,
        "network": dict,
        "startupPolicy": dict,
        "successPolicy": dict,
        "suspend": bool,
        "ttlSecondsAfterFinished": int,
    },
    ("argoproj.io/v1alpha1", "Sensor"): {
        "template": dict,
        "replicas": int,
        "eventBusName": str,
        "revisionHistoryLimit": int,
        "dependencies!": [
            {
                "name!": str,
                "eventName!": str,
                "eventSourceName!": str,
                "filters": dict,
                "filtersLogicalOperator": str,
                "transform": dict,
            }
        ],
        "triggers!": [
            {
                "template!": _TRIGGER,
                "parameters": [dict],
                "policy": dict,
                "retryStrategy": dict,
                "rateLimit": dict,
                "atLeastOnce": bool,
                "dlqTrigger": dict,
            }
        ],
    },
    ("argoproj.io/v1alpha1", "EventSource"): {
        "webhook": dict,
        "service": dict,
        "template": dict,
        "eventBusName": str,
        "replicas": int,
    },
    ("argoproj.io/v1alpha1", "EventBus"): {"nats": dict, "jetstream": dict, "kafka": dict, "jetstreamExotic": dict},
}
KINDS = frozenset((version.rpartition("/")[0], kind) for version, kind in _SPECS)


def faults(manifest: Manifest) -> Iterator[Fault]:
    """Fields that the kind does not have, lacks, or that are of another type."""
    version = str(manifest.document["apiVersion"])
    shape = _SPECS.get((version, manifest.kind))
    if shape is None:
        known = sorted(one for one, kind in _SPECS if kind == manifest.kind)
        yield Fault("kind-unknown", manifest.title, "/apiVersion", f"{version}: boxplat knows {', '.join(known)}")
        return
    for rule, where, what in _wrong(manifest.document.get("spec", {}), shape, ("spec",)):
        yield Fault(rule, manifest.title, written(where), what)


def _wrong(value: Any, shape: Any, path: Pointer) -> Iterator[tuple[str, Pointer, str]]:
    if isinstance(shape, list):
        if not isinstance(value, list):
            yield "field-type", path, f"{value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from _wrong(item, shape[0], (*path, index))
    elif isinstance(shape, dict):
        yield from _fields(value, shape, path)
    elif (isinstance(value, bool) and shape is not bool) or not isinstance(value, shape):
        yield "field-type", path, f"{value!r} is of another type"


def _fields(value: Any, shape: Mapping[str, Any], path: Pointer) -> Iterator[tuple[str, Pointer, str]]:
    if not isinstance(value, Mapping):
        yield "field-type", path, f"{value!r} is no mapping"
        return
    known = {key.removesuffix("!"): part for key, part in shape.items()}
    for key, item in value.items():
        if key not in known:
            yield "field-unknown", (*path, key), f"known are {', '.join(sorted(known))}"
        else:
            yield from _wrong(item, known[key], (*path, key))
    for key in shape:
        if key.endswith("!") and key[:-1] not in value:
            yield "field-missing", (*path, key[:-1]), "it is missing"
