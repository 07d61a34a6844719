"""What services, endpoints and their releases declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from boxplat.core.graph import needs
from boxplat.core.live import GuardsConfig
from boxplat.core.model import Service
from boxplat.export.model import ExportInput, LiveRelease
from boxplat.export.parity.model import Carried
from boxplat.export.parity.shelf import Shelf, named, shown
from boxplat.export.pointers import Pointer, entries, mapping, text
from boxplat.export.references import secret_names
from boxplat.export.sensitive import is_secret
from boxplat.export.serving.instances import named as named_releases
from boxplat.export.serving.monitoring import quantile_is_known

_POD: Pointer = ("spec", "template", "spec")
_CONTAINER: Pointer = (*_POD, "containers", 0)
_IDLE = "Kubernetes alone starts no pod for a request: it runs all the time"
_ALONE = "all requests go to the only release"
# What is judged on outcomes, which come to the box's log of predictions and not to Prometheus.
_OUTCOMES = "outcomes and scores are compared where the predictions' log is: box compare"
_LIMITS = ("errors", "p99_ms", "drift", "alpha", "loss")


def rows(inputs: ExportInput, shelf: Shelf) -> Iterator[Carried]:
    """Every service, every release with its share, every objective."""
    for service in sorted(inputs.services, key=lambda service: service.name):
        yield from _service(service, service.name, service.name, shelf)
    for endpoint, releases in sorted(inputs.releases.items()):
        for name, release in named_releases(endpoint, releases).items():
            of = f"{endpoint}/{release.number}"
            if name != endpoint:
                yield from _service(release.service, of, name, shelf)
            yield from _release(of, name, release, len(releases) == 1, shelf)
    for endpoint in inputs.undeployed:
        yield Carried(endpoint, "endpoint", "declared", why_not=f"no release yet: box deploy {endpoint}")
    for endpoint, guards in sorted(inputs.guards.items()):
        yield from _guards(endpoint, guards, inputs, shelf)


def _service(service: Service, of: str, name: str, shelf: Shelf) -> Iterator[Carried]:
    here = ("Deployment", name)

    def row(what: str, value: Any, *pointer: str | int, why_not: str = "") -> Carried:
        return shelf.row(of, what, value, (*here, pointer), why_not=why_not)

    yield row("command", " ".join(service.command[-6:]), *_CONTAINER, "command")
    document = shelf.document(*here)
    secret = {*secret_names(service), *filter(is_secret, service.env)}
    for key, value in service.env.items():
        place = named(document, key, *_CONTAINER, "env")
        shown_value = "a secret" if key in secret else value
        yield (
            row(f"variable {key}", shown_value, *place) if place else Carried(of, f"variable {key}", shown(shown_value))
        )
    yield row("memory, MiB", service.memory_mib, *_CONTAINER, "resources", "requests", "memory")
    yield row("cores", service.cpu, *_CONTAINER, "resources", "requests", "cpu")
    if service.gpu_memory_mib:
        limits = (*_CONTAINER, "resources", "limits")
        device = next((key for key in mapping(document, *limits) if "/" in key), "")
        yield row("memory of a GPU, MiB", service.gpu_memory_mib, *limits, device)
    yield row("health", service.health, *_CONTAINER, "readinessProbe", "httpGet", "path")
    yield row("time to start", f"{service.start_seconds:g} s", *_CONTAINER, "startupProbe", "failureThreshold")
    yield row("time to stop", f"{service.stop_seconds:g} s", *_POD, "terminationGracePeriodSeconds")
    yield shelf.row(of, "port", service.port or "any", ("Service", name, ("spec", "ports", 0, "port")))
    yield _replicas(service, of, name, shelf)
    if service.grpc_port:
        yield _grpc(service, of, name, shelf)
    if service.idle_seconds:
        yield Carried(of, "idle", f"{service.idle_seconds:g} s", why_not=_IDLE)
    for other in sorted(needs(service)):
        yield _edge(of, other, shelf)


def _replicas(service: Service, of: str, name: str, shelf: Shelf) -> Carried:
    places = (("HorizontalPodAutoscaler", name, ("spec", "minReplicas")), ("Deployment", name, ("spec", "replicas")))
    return shelf.row(of, "replicas", service.replicas, *places)


def _grpc(service: Service, of: str, name: str, shelf: Shelf) -> Carried:
    place = named(shelf.document("Service", name), "grpc", "spec", "ports")
    if place is None:
        return Carried(of, "gRPC port", shown(service.grpc_port))
    return shelf.row(of, "gRPC port", service.grpc_port, ("Service", name, (*place, "port")))


def _edge(of: str, other: str, shelf: Shelf) -> Carried:
    """A reference between declarations is a call that a network policy allows."""
    name = f"from-{of.partition('/')[0]}"
    component = "app.kubernetes.io/component"
    for path, rule in entries(shelf.document("NetworkPolicy", name), "spec", "egress"):
        for inner, peer in entries(rule, "to"):
            if mapping(peer, "podSelector", "matchLabels").get(component) == other:
                return shelf.row(of, f"calls {other}", "allowed", ("NetworkPolicy", name, (*path, *inner)))
    return Carried(of, f"calls {other}", "allowed")


def _release(of: str, name: str, release: LiveRelease, alone: bool, shelf: Shelf) -> Iterator[Carried]:
    value = "a copy of every request" if release.shadow else f"{release.weight} %"
    places = [
        (route, path if release.shadow else (*path, "weight"))
        for route, document in shelf.of_kind("HTTPRoute")
        for path, backend, mirrored in _backends(document)
        if text(backend, "name") == name and mirrored == release.shadow
    ]
    if places:
        yield shelf.row(of, "share", value, *(("HTTPRoute", *place) for place in places))
    else:
        yield Carried(of, "share", value, why_not=_ALONE if alone and not release.shadow else "")
    model = named(shelf.document("Deployment", name), "BOXPLAT_MODEL_URI", *_CONTAINER, "env")
    pointer = model if model is not None and release.model_version else (*_CONTAINER, "image")
    yield shelf.row(of, "version", release.model_version or release.bento, ("Deployment", name, pointer))


def _backends(route: Any) -> Iterator[tuple[Pointer, Any, bool]]:
    for path, rule in entries(route, "spec", "rules"):
        yield from (((*path, *inner), backend, False) for inner, backend in entries(rule, "backendRefs"))
        for inner, chosen in entries(rule, "filters"):
            mirror = mapping(chosen, "requestMirror", "backendRef")
            if mirror:
                yield (*path, *inner, "requestMirror", "backendRef"), mirror, True


def _guards(endpoint: str, guards: GuardsConfig, inputs: ExportInput, shelf: Shelf) -> Iterator[Carried]:
    of = f"guards.{endpoint}"
    if endpoint in inputs.undeployed or not any(service.name == endpoint for service in inputs.services):
        yield Carried(of, "objectives", "declared", why_not=f"no release yet: box deploy {endpoint}")
        return
    plain = GuardsConfig()
    for field in fields(guards):
        value = getattr(guards, field.name)
        if field.name in _LIMITS and value:
            yield _objective(of, endpoint, field.name, value, shelf)
        elif field.name not in _LIMITS and value != getattr(plain, field.name):
            yield _setting(of, endpoint, field.name, value, shelf)


def _objective(of: str, endpoint: str, name: str, value: float, shelf: Shelf) -> Carried:
    for title, document in shelf.of_kind("PrometheusRule"):
        for path, group in entries(document, "spec", "groups"):
            for inner, rule in entries(group, "rules"):
                if _about(rule, endpoint, name):
                    said = f"{value:g}, an alert: a cluster rolls nothing back by itself"
                    return shelf.row(of, name, said, ("PrometheusRule", title, (*path, *inner, "expr")))
    if name == "p99_ms" and not quantile_is_known(value):
        return Carried(of, name, shown(value), why_not="the servers' histogram of times ends before")
    return Carried(of, name, shown(value), why_not="" if name in ("errors", "p99_ms") else _OUTCOMES)


def _setting(of: str, endpoint: str, name: str, value: object, shelf: Shelf) -> Carried:
    """A window or a rhythm: the rules of the endpoint have it in their expressions."""
    for title, document in shelf.of_kind("PrometheusRule"):
        for path, group in entries(document, "spec", "groups"):
            for inner, rule in entries(group, "rules"):
                if _about(rule, endpoint, "") and str(value) in text(rule, "expr"):
                    return shelf.row(of, name, value, ("PrometheusRule", title, (*path, *inner, "expr")))
    return Carried(of, name, shown(value), why_not="it is how often and how long the box looks, not Prometheus")


def _about(rule: Any, endpoint: str, name: str) -> bool:
    labels = mapping(rule, "labels")
    words = {text(labels, "objective"), text(labels, "guard")}
    said = text(rule, "alert").lower().replace("_", "")
    there = endpoint in repr(rule)
    return there and (name in words or name.replace("_", "").lower() in said)
