"""Calls that network policies let through: from the pod that names a Service to the pods behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.check.model import Manifest, Manifests
from boxplat.export.check.pods import Pod, pods
from boxplat.export.check.rules import whole
from boxplat.export.pointers import Pointer, entries, leaves, mapping, text, texts


@whole("network-blocked")
def blocked(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """Network policies let a pod call every Service that its variables or its command name."""
    policies = list(manifests.of_kind("NetworkPolicy"))
    every = [pod for one in manifests.all for pod in pods(one)]
    services = {one.name: one for one in manifests.of_kind("Service")}
    for pod in every if policies else ():
        for path, name, port in _called(pod, manifests):
            target = next(_behind(services.get(name), every), None)
            if target is None:
                continue
            number = _port(services[name], target, port)
            if not _allowed(policies, "Egress", pod.labels, target.labels, number):
                yield pod.manifest, path, f"no policy of its own lets it call {name}:{port}"
            if not _allowed(policies, "Ingress", target.labels, pod.labels, number):
                yield pod.manifest, path, f"no policy of {name} lets it call {name}:{port}"


def _called(pod: Pod, manifests: Manifests) -> Iterator[tuple[Pointer, str, str]]:
    namespaces = "|".join(re.escape(one.name) for one in manifests.of_kind("Namespace"))
    address = re.compile(rf"\b([a-z0-9-]+)\.(?:{namespaces})\.svc(?:\.cluster\.local)?:(\d+)")
    for container in pod.containers:
        for key in ("env", "command", "args"):
            for path, value in leaves(container.spec.get(key)):
                for name, port in address.findall(value) if isinstance(value, str) and namespaces else ():
                    if name != pod.manifest.name:
                        yield (*container.where, key, *path), name, port


def _behind(service: Manifest | None, every: list[Pod]) -> Iterator[Pod]:
    wanted = {} if service is None else mapping(service.spec, "selector")
    return (pod for pod in every if wanted and pod.serves and wanted.items() <= pod.labels.items())


def _port(service: Manifest, target: Pod, port: str) -> Any:
    """The port of the pod that a port of its Service leads to."""
    named = [one for _, one in entries(service.spec, "ports") if str(one.get("port")) == port]
    wanted = named[0].get("targetPort", named[0].get("port")) if named else port
    for container in target.containers:
        for _, one in entries(container.spec, "ports"):
            if wanted in (one.get("name"), one.get("containerPort")):
                return one.get("containerPort")
    return wanted


def _allowed(policies: list[Manifest], side: str, own: Mapping[str, Any], other: Mapping[str, Any], port: Any) -> bool:
    """Whether pods of these labels may be called (Ingress) or call (Egress), or no policy is about them."""
    about = [
        one
        for one in policies
        if side in {kind for _, kind in texts(one.spec, "policyTypes")} and _selects(one.spec.get("podSelector"), own)
    ]
    key, peers = ("ingress", "from") if side == "Ingress" else ("egress", "to")
    for one in about:
        for _, rule in entries(one.spec, key):
            ports = [entry.get("port") for _, entry in entries(rule, "ports")]
            there = [peer for _, peer in entries(rule, peers)]
            met = any("namespaceSelector" not in peer and _selects(peer.get("podSelector"), other) for peer in there)
            if (met or not there) and (not ports or port in ports):
                return True
    return not about


def _selects(selector: Any, labels: Mapping[str, Any]) -> bool:
    """Whether a label selector, which may be empty, takes these labels."""
    if not isinstance(selector, Mapping):
        return False
    wanted = mapping(selector, "matchLabels").items() <= labels.items()
    return wanted and all(_met(one, labels) for _, one in entries(selector, "matchExpressions"))


def _met(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, values = text(expression, "key"), [word for _, word in texts(expression, "values")]
    match text(expression, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


RULES = (blocked,)
