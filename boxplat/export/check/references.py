"""Names that must exist in the same export: accounts, volumes, settings, ports, scale targets, Services."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.check.rules import each_container, each_pod, whole
from boxplat.export.pointers import Pointer, at, entries, leaves, mapping, text

Named = tuple[Manifest, Pointer, str]
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_SYSTEM_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})


@whole("reference-account")
def account(manifests: Manifests) -> Iterator[Named]:
    """The service account of a pod, or of a role's subject, is in the export."""
    for manifest in manifests.all:
        for pod in pods(manifest):
            name = pod.spec.get("serviceAccountName", "default")
            if f"ServiceAccount/{name}" not in manifests.titles:
                yield manifest, (*pod.where, "serviceAccountName"), f"no ServiceAccount {name!r}"
        for path, subject in entries(manifest.document, "subjects"):
            if (
                subject.get("kind") == "ServiceAccount"
                and f"ServiceAccount/{subject.get('name')}" not in manifests.titles
            ):
                yield manifest, path, f"no ServiceAccount {subject.get('name')!r}"


@whole("reference-config-map")
def config_map(manifests: Manifests) -> Iterator[Named]:
    """A ConfigMap that a pod reads is in the export, with the keys that it reads."""
    known = {one.name: mapping(one.document, "data") for one in manifests.of_kind("ConfigMap")}
    for manifest, where, name, key in _read(manifests, "configMap"):
        if name not in known:
            yield manifest, where, f"no ConfigMap {name!r}"
        elif key and key not in known[name]:
            yield manifest, where, f"ConfigMap {name!r} has no key {key!r}"


@whole("reference-secret")
def secret(manifests: Manifests) -> Iterator[Named]:
    """A Secret that a pod reads is one of those that the lock tells people to make, with the keys that it reads."""
    known = mapping(manifests.lock, "secrets")
    made = {one.name for one in manifests.of_kind("ExternalSecret", "SealedSecret")}
    for manifest, where, name, key in _read(manifests, "secret"):
        if name not in known and name not in made:
            yield manifest, where, f"the lock names no Secret {name!r}, so nobody will make it"
        elif key and name in known and key not in known[name]:
            yield manifest, where, f"the lock names no key {key!r} of the Secret {name!r}"


def _read(manifests: Manifests, kind: str) -> Iterator[tuple[Manifest, Pointer, str, str]]:
    """Where a ConfigMap or a Secret is read: name, and key or empty; optional ones are left out."""
    for manifest in manifests.all:
        for pod in pods(manifest):
            yield from ((manifest, (*pod.where, *path), name, "") for path, name in _mounted(pod, kind))
            for container in pod.containers:
                for path, found in _variables(container, kind):
                    yield manifest, (*container.where, *path), text(found, "name"), text(found, "key")


def _mounted(pod: Pod, kind: str) -> Iterator[tuple[Pointer, str]]:
    name = "secretName" if kind == "secret" else "name"
    for path, volume in entries(pod.spec, "volumes"):
        source = mapping(volume, kind)
        if source and source.get("optional") is not True:
            yield (*path, kind), text(source, name)
        for inner, part in entries(volume, "projected", "sources"):
            if mapping(part, kind) and mapping(part, kind).get("optional") is not True:
                yield (*path, *inner, kind), text(part, kind, "name")


def _variables(container: Container, kind: str) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    for path, entry in entries(container.spec, "env"):
        source = mapping(entry, "valueFrom", f"{kind}KeyRef")
        if source and source.get("optional") is not True:
            yield (*path, "valueFrom", f"{kind}KeyRef"), source
    for path, entry in entries(container.spec, "envFrom"):
        source = mapping(entry, f"{kind}Ref")
        if source and source.get("optional") is not True:
            yield (*path, f"{kind}Ref"), source


@whole("reference-claim")
def claim(manifests: Manifests) -> Iterator[Named]:
    """A claim that a pod mounts is in the export."""
    for manifest in manifests.all:
        for pod in pods(manifest):
            for path, volume in entries(pod.spec, "volumes"):
                name = at(volume, "persistentVolumeClaim", "claimName")
                if "persistentVolumeClaim" in volume and f"PersistentVolumeClaim/{name}" not in manifests.titles:
                    yield manifest, (*pod.where, *path), f"no PersistentVolumeClaim {name!r}"


@whole("reference-priority-class")
def priority_class(manifests: Manifests) -> Iterator[Named]:
    """A pod's priority class is in the export."""
    for manifest in manifests.all:
        for pod in pods(manifest):
            name = at(pod.spec, "priorityClassName")
            if name and name not in _SYSTEM_CLASSES and f"PriorityClass/{name}" not in manifests.titles:
                yield manifest, (*pod.where, "priorityClassName"), f"no PriorityClass {name!r}"


@whole("reference-scale-target")
def scale_target(manifests: Manifests) -> Iterator[Named]:
    """What an autoscaler scales is in the export."""
    for one in manifests.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        target = mapping(one.spec, "scaleTargetRef")
        title = f"{target.get('kind', 'Deployment')}/{target.get('name')}"
        if title not in manifests.titles:
            yield one, ("spec", "scaleTargetRef"), f"no {title}"


@whole("reference-role")
def role(manifests: Manifests) -> Iterator[Named]:
    """The role that is bound is in the export."""
    for one in manifests.of_kind("RoleBinding", "ClusterRoleBinding"):
        bound = mapping(one.document, "roleRef")
        if f"{bound.get('kind')}/{bound.get('name')}" not in manifests.titles:
            yield one, ("roleRef",), f"no {bound.get('kind')} {bound.get('name')!r}"


@whole("reference-service")
def service(manifests: Manifests) -> Iterator[Named]:
    """A Service that a variable, a command or a route names is in the export, with the port that is named."""
    ports = {one.name: _ports(one) for one in manifests.of_kind("Service")}
    for namespace in {one.name for one in manifests.of_kind("Namespace")}:
        address = re.compile(rf"([a-z0-9-]+)\.{re.escape(namespace)}\.svc(?:\.cluster\.local)?(?::(\d+))?")
        for manifest in manifests.all:
            for path, value in leaves(manifest.document):
                for name, port in address.findall(value) if isinstance(value, str) else ():
                    yield from _missing(manifest, path, name, port, ports)
    for manifest in manifests.of_kind("HTTPRoute", "GRPCRoute"):
        for path, backend in _backends(manifest):
            if backend.get("kind", "Service") == "Service":
                yield from _missing(manifest, path, text(backend, "name"), str(backend.get("port", "")), ports)


def _missing(
    manifest: Manifest, path: Pointer, name: str, port: str, ports: Mapping[str, frozenset[str]]
) -> Iterator[Named]:
    # Argo Events makes the Service of an event source.
    if name not in ports and not name.endswith("-eventsource-svc"):
        yield manifest, path, f"no Service {name!r}"
    elif port and name in ports and port not in ports[name]:
        yield manifest, path, f"Service {name!r} has no port {port}, only {', '.join(sorted(ports[name]))}"


def _backends(route: Manifest) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    for path, rule in entries(route.document, "spec", "rules"):
        yield from (((*path, *inner), backend) for inner, backend in entries(rule, "backendRefs"))
        for inner, chosen in entries(rule, "filters"):
            mirror = mapping(chosen, "requestMirror", "backendRef")
            if mirror:
                yield (*path, *inner, "requestMirror", "backendRef"), mirror


def _ports(service: Manifest) -> frozenset[str]:
    return frozenset(str(port.get("port")) for _, port in entries(service.spec, "ports"))


@each_pod("volume-undeclared")
def volume(pod: Pod) -> Iterator[Found]:
    """A container mounts only volumes that its pod declares, each at a path of its own."""
    declared = {text(one, "name") for _, one in entries(pod.spec, "volumes")}
    declared |= {text(one, "metadata", "name") for _, one in entries(pod.manifest.spec, "volumeClaimTemplates")}
    for container in pod.containers:
        paths = set()
        for path, mount in entries(container.spec, "volumeMounts"):
            if text(mount, "name") not in declared:
                yield (*container.where, *path), f"the pod has no volume {text(mount, 'name')!r}"
            if text(mount, "mountPath") in paths:
                yield (*container.where, *path), f"two volumes are mounted at {text(mount, 'mountPath')}"
            paths.add(text(mount, "mountPath"))


@each_container("probe-port")
def probe_port(pod: Pod, container: Container) -> Iterator[Found]:
    """A probe asks a port that the container has."""
    ports = [
        value for _, port in entries(container.spec, "ports") for value in (port.get("name"), port.get("containerPort"))
    ]
    for probe in _PROBES:
        for way in ("httpGet", "tcpSocket", "grpc"):
            port = at(container.spec, probe, way, "port")
            if port is not None and port not in ports:
                yield (probe, way, "port"), f"the container has no port {port!r}"


RULES = (
    account,
    config_map,
    secret,
    claim,
    priority_class,
    scale_target,
    role,
    service,
    volume,
    probe_port,
)
