"""Requests, limits and quotas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.check.quantities import amount
from boxplat.export.check.rules import each_container, whole
from boxplat.export.pointers import Pointer, mapping

_PLAIN = frozenset({"cpu", "memory", "ephemeral-storage", "storage"})


@each_container("resources-request-missing")
def request_missing(pod: Pod, container: Container) -> Iterator[Found]:
    """A container asks for CPU and memory, so that the scheduler knows where it fits."""
    requests = mapping(container.spec, "resources", "requests")
    for kind in ("cpu", "memory"):
        if kind not in requests:
            yield ("resources", "requests"), f"no request of {kind}"


@each_container("resources-memory-limit-missing")
def memory_limit_missing(pod: Pod, container: Container) -> Iterator[Found]:
    """A container has a memory limit, without which a quota on limits refuses the pod."""
    if "memory" not in mapping(container.spec, "resources", "limits"):
        yield ("resources", "limits"), "no memory limit"


@each_container("resources-quantity-invalid")
def quantity_invalid(pod: Pod, container: Container) -> Iterator[Found]:
    """A quantity is one that Kubernetes reads, and above nothing."""
    for path, value in _quantities(container):
        number = amount(value)
        if number is None:
            yield path, f"{value!r} is no quantity"
        elif number < 0:
            yield path, f"{value!r} is below nothing"


@each_container("resources-request-above-limit")
def request_above_limit(pod: Pod, container: Container) -> Iterator[Found]:
    """A request is not above its limit."""
    limits = mapping(container.spec, "resources", "limits")
    for kind, asked in mapping(container.spec, "resources", "requests").items():
        request, limit = amount(asked), amount(limits.get(kind, ""))
        if request is not None and limit is not None and request > limit:
            yield ("resources", "requests", kind), f"{asked} is above the limit of {limits[kind]}"


@each_container("resources-device-request")
def device_request(pod: Pod, container: Container) -> Iterator[Found]:
    """Devices are asked for in whole pieces, by a limit; a request, if any, equals it."""
    limits, requests = (mapping(container.spec, "resources", key) for key in ("limits", "requests"))
    for kind in sorted(({*limits, *requests}) - _PLAIN):
        if str(kind).startswith("hugepages-"):
            continue
        limit, request = amount(limits.get(kind, "")), amount(requests.get(kind, limits.get(kind, "")))
        if limit is None or request != limit:
            yield ("resources", "limits", kind), f"limit {limits.get(kind)}, request {requests.get(kind)}: not the same"
        elif limit != limit.to_integral_value():
            yield ("resources", "limits", kind), f"{limits[kind]} is no whole number of pieces"


@each_container("resources-memory-tiny")
def memory_tiny(pod: Pod, container: Container) -> Iterator[Found]:
    """Memory is given in bytes with a unit; a number without one would be so many bytes."""
    for path, value in _quantities(container):
        number = amount(value)
        if path[-1] in ("memory", "ephemeral-storage") and number is not None and 0 < number < 2**20:
            yield path, f"{value} is less than a MiB: is its unit missing?"


@whole("quota-too-small")
def quota_too_small(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """Every pod fits into the namespace's quota by itself, and asks for no device that the quota does not grant."""
    granted: dict[str, Decimal] = {}
    for one in manifests.of_kind("ResourceQuota"):
        found = {key: amount(value) for key, value in mapping(one.spec, "hard").items()}
        granted |= {key: value for key, value in found.items() if value is not None}
    for manifest in manifests.all:
        for pod in pods(manifest) if granted else ():
            for kind, number in _total(pod).items():
                if kind in granted and number > granted[kind]:
                    yield manifest, pod.where, f"one pod takes {number} of {kind}, the quota is {granted[kind]}"


def _total(pod: Pod) -> dict[str, Decimal]:
    """What a pod takes of a quota: its containers together, or its largest init container."""
    sums: dict[str, Decimal] = {}
    most: dict[str, Decimal] = {}
    for container in pod.containers:
        for kind, name, value in _granted(container):
            number, key = amount(value) or Decimal(0), f"{kind}.{name}"
            if container.init:
                most[key] = max(most.get(key, number), number)
            else:
                sums[key] = sums.get(key, Decimal(0)) + number
    return {key: max(sums.get(key, Decimal(0)), most.get(key, Decimal(0))) for key in {*sums, *most}}


def _granted(container: Container) -> Iterator[tuple[str, str, Any]]:
    """Requests and limits; who has a limit only asks for as much."""
    limits, requests = (mapping(container.spec, "resources", kind) for kind in ("limits", "requests"))
    yield from (("limits", name, value) for name, value in limits.items())
    yield from (("requests", name, value) for name, value in {**limits, **requests}.items())


def _quantities(container: Container) -> Iterator[tuple[tuple[str, str, str], Any]]:
    resources: Mapping[str, Any] = mapping(container.spec, "resources")
    for kind in ("requests", "limits"):
        for name, value in mapping(resources, kind).items():
            yield ("resources", kind, name), value


RULES = (
    request_missing,
    memory_limit_missing,
    quantity_invalid,
    request_above_limit,
    device_request,
    memory_tiny,
    quota_too_small,
)
