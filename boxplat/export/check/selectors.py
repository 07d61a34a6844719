"""Selectors that find what they are meant to find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Pod, pods
from boxplat.export.check.rules import each_pod, whole
from boxplat.export.pointers import Pointer, entries, mapping, text


@each_pod("selector-mismatch")
def own_pods(pod: Pod) -> Iterator[Found]:
    """A workload selects the pods that it makes."""
    if not pod.serves:
        return
    wanted = mapping(pod.manifest.spec, "selector", "matchLabels")
    if not wanted:
        yield ("spec", "selector"), "it selects nothing"
    elif not wanted.items() <= pod.labels.items():
        yield ("spec", "selector", "matchLabels"), f"its pods do not have {_shown(wanted, pod.labels)}"


@whole("selector-no-pods")
def some_pods(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """A Service, a disruption budget, a network policy or a monitor selects a pod of the export."""
    labels = [pod.labels for one in manifests.all for pod in pods(one)]
    for one in manifests.of_kind("Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        path, wanted = _wanted(one)
        if wanted and not any(wanted.items() <= found.items() for found in labels):
            yield one, path, f"no pod has {dict(wanted)}"


@whole("selector-no-service")
def some_service(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """A ServiceMonitor selects a Service of the export, and a port of it."""
    services = [(mapping(one.document, "metadata", "labels"), one) for one in manifests.of_kind("Service")]
    for one in manifests.of_kind("ServiceMonitor"):
        wanted = mapping(one.spec, "selector", "matchLabels")
        found = [service for labels, service in services if wanted.items() <= labels.items()]
        if not found:
            yield one, ("spec", "selector"), f"no Service has {dict(wanted)}"
        for path, endpoint in entries(one.document, "spec", "endpoints"):
            ports = {text(port, "name") for service in found for _, port in entries(service.spec, "ports")}
            if found and "port" in endpoint and endpoint["port"] not in ports:
                yield one, (*path, "port"), f"no Service that it selects has a port {endpoint['port']!r}"


@whole("service-target-port")
def target_port(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """A Service leads to a port that the pods behind it have."""
    every = [pod for one in manifests.all for pod in pods(one) if pod.serves]
    for one in manifests.of_kind("Service"):
        wanted = mapping(one.spec, "selector")
        ports = [
            value
            for pod in every
            if wanted and wanted.items() <= pod.labels.items()
            for container in pod.containers
            for _, port in entries(container.spec, "ports")
            for value in (port.get("name"), port.get("containerPort"))
        ]
        for path, port in entries(one.document, "spec", "ports"):
            target = port.get("targetPort", port.get("port"))
            if ports and target not in ports:
                yield one, (*path, "targetPort"), f"no pod behind it has a port {target!r}"


@whole("selector-overlap")
def overlap(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """Two workloads do not select each other's pods."""
    made = [pod for one in manifests.all for pod in pods(one) if pod.serves]
    for pod in made:
        wanted = mapping(pod.manifest.spec, "selector", "matchLabels")
        for other in made:
            if other.manifest is not pod.manifest and wanted and wanted.items() <= other.labels.items():
                yield pod.manifest, ("spec", "selector"), f"it selects the pods of {other.manifest.title}"


def _wanted(one: Manifest) -> tuple[Pointer, Mapping[str, Any]]:
    if one.kind == "Service":
        return ("spec", "selector"), mapping(one.spec, "selector")
    key = "podSelector" if one.kind == "NetworkPolicy" else "selector"
    return ("spec", key, "matchLabels"), mapping(one.spec, key, "matchLabels")


def _shown(wanted: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in wanted.items() if labels.get(key) != value)


RULES = (own_pods, some_pods, some_service, target_port, overlap)
