"""Replicas, roll-outs, budgets and probes: what keeps an endpoint answering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.check.rules import each_container, each_document, each_pod, whole
from boxplat.export.pointers import Pointer, at, entries, mapping, text

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_PLAIN = frozenset({"cpu", "memory", "ephemeral-storage"})
Named = tuple[Manifest, Pointer, str]


@each_container("probe-missing")
def probe_missing(pod: Pod, container: Container) -> Iterator[Found]:
    """The container of a server has a startup, a readiness and a liveness probe."""
    if pod.serves and not container.init and entries_any(container):
        for probe in _PROBES:
            if probe not in container.spec:
                yield (probe,), f"no {probe}"


def entries_any(container: Container) -> bool:
    """Whether the container has ports, which a side-car need not have."""
    return any(True for _ in entries(container.spec, "ports"))


@each_container("probe-empty")
def probe_empty(pod: Pod, container: Container) -> Iterator[Found]:
    """A probe asks in exactly one way, and gives an answer at least a second."""
    for probe in _PROBES:
        found = container.spec.get(probe)
        ways = [way for way in ("httpGet", "tcpSocket", "grpc", "exec") if way in mapping(container.spec, probe)]
        if found is not None and len(ways) != 1:
            yield (probe,), f"it asks in {len(ways)} ways"
        for key in ("timeoutSeconds", "periodSeconds", "failureThreshold"):
            number = mapping(container.spec, probe).get(key, 1)
            if not isinstance(number, int) or number < 1:
                yield (probe, key), f"{number!r} is less than 1"


@each_pod("server-without-port")
def server_without_port(pod: Pod) -> Iterator[Found]:
    """A server has a container with a port."""
    if pod.serves and not any(entries_any(container) for container in pod.containers):
        yield pod.where, "no container has a port"


@each_pod("rollout-deadlock")
def rollout_deadlock(pod: Pod) -> Iterator[Found]:
    """A roll-out can move: some pod may be added or taken away, and none is added that waits for the last device."""
    spec = pod.manifest.spec
    if pod.manifest.kind != "Deployment" or at(spec, "strategy", "type") == "Recreate":
        return
    update = mapping(spec, "strategy", "rollingUpdate")
    surge, away = update.get("maxSurge", "25%"), update.get("maxUnavailable", "25%")
    if _none(surge) and _none(away):
        yield ("spec", "strategy", "rollingUpdate"), "no pod may be added and none taken away"
    elif _devices(pod) and not _none(surge):
        yield ("spec", "strategy", "rollingUpdate", "maxSurge"), "a new pod would wait for the device of an old one"


def _none(number: object) -> bool:
    return number in (0, "0", "0%")


def _devices(pod: Pod) -> bool:
    asked = {name for one in pod.containers for name in mapping(one.spec, "resources", "limits")}
    return bool(asked - _PLAIN)


@each_pod("grace-too-short")
def grace_too_short(pod: Pod) -> Iterator[Found]:
    """A server that is told to stop has time for its preStop hook and for what it is asked just then."""
    grace = pod.spec.get("terminationGracePeriodSeconds", 30)
    for container in pod.containers if pod.serves else ():
        words = at(container.spec, "lifecycle", "preStop", "exec", "command")
        seconds = words[1] if isinstance(words, list) and len(words) == 2 and words[0] == "sleep" else "0"
        seconds = at(container.spec, "lifecycle", "preStop", "sleep", "seconds") or seconds
        if isinstance(grace, int) and str(seconds).isdigit() and grace <= int(seconds):
            yield (*pod.where, "terminationGracePeriodSeconds"), f"{grace} s, of which preStop takes {seconds}"


@each_document("autoscaler-bounds")
def autoscaler_bounds(manifest: Manifest) -> Iterator[Found]:
    """An autoscaler has at least one pod, a maximum not below the minimum, and something to go by."""
    if manifest.kind != "HorizontalPodAutoscaler":
        return
    least, most = manifest.spec.get("minReplicas", 1), manifest.spec.get("maxReplicas")
    if not isinstance(least, int) or not isinstance(most, int) or not 1 <= least <= most:
        yield ("spec", "maxReplicas"), f"from {least} to {most} pods"
    if not any(True for _ in entries(manifest.spec, "metrics")):
        yield ("spec", "metrics"), "no metric"


@whole("autoscaler-against-replicas")
def autoscaler_against_replicas(manifests: Manifests) -> Iterator[Named]:
    """A workload that is scaled by an autoscaler states no number of pods, which every apply would go back to."""
    for title, manifest in _scaled(manifests):
        if manifest is not None and "replicas" in manifest.spec:
            yield manifest, ("spec", "replicas"), f"{title} decides the number"


@whole("autoscaler-without-request")
def autoscaler_without_request(manifests: Manifests) -> Iterator[Named]:
    """What is scaled by its use of CPU or memory asks for some: the use is a share of the request."""
    targets = {title: found for title, found in _scaled(manifests)}
    for one in manifests.of_kind("HorizontalPodAutoscaler"):
        target = targets.get(one.title)
        for path, metric in entries(one.document, "spec", "metrics"):
            name = text(metric, "resource", "name")
            for pod in pods(target) if target is not None and name else ():
                missing = [c for c in pod.containers if name not in mapping(c.spec, "resources", "requests")]
                if missing:
                    yield one, path, f"a container of {pod.manifest.title} has no request of {name}"


def _scaled(manifests: Manifests) -> Iterator[tuple[str, Manifest | None]]:
    known = {one.title: one for one in manifests.of_kind("Deployment", "StatefulSet")}
    for one in manifests.of_kind("HorizontalPodAutoscaler"):
        target = mapping(one.spec, "scaleTargetRef")
        yield one.title, known.get(f"{target.get('kind')}/{target.get('name')}")


@whole("budget-blocks-drain")
def budget_blocks_drain(manifests: Manifests) -> Iterator[Named]:
    """A disruption budget lets a node be emptied: at least one of the pods that it is about may go."""
    fewest = _fewest(manifests)
    for one in manifests.of_kind("PodDisruptionBudget"):
        wanted = mapping(one.spec, "selector", "matchLabels")
        counts = [count for labels, count in fewest if wanted and wanted.items() <= labels.items()]
        least, away = one.spec.get("minAvailable"), one.spec.get("maxUnavailable")
        if _none(away) or least == "100%":
            yield one, ("spec",), "no pod may ever go"
        elif isinstance(least, int) and counts and least >= sum(counts):
            yield one, ("spec", "minAvailable"), f"{least} of {sum(counts)} pods must stay"


def _fewest(manifests: Manifests) -> list[tuple[Mapping[str, object], int]]:
    """The labels of each workload's pods, and how few of them there may be."""
    least = {}
    for one in manifests.of_kind("HorizontalPodAutoscaler"):
        target = mapping(one.spec, "scaleTargetRef")
        least[f"{target.get('kind')}/{target.get('name')}"] = one.spec.get("minReplicas", 1)
    found = []
    for manifest in manifests.of_kind("Deployment", "StatefulSet"):
        count = least.get(manifest.title, manifest.spec.get("replicas", 1))
        found += [(pod.labels, count if isinstance(count, int) else 1) for pod in pods(manifest)]
    return found


@each_document("schedule-unsafe")
def schedule_unsafe(manifest: Manifest) -> Iterator[Found]:
    """A CronJob does not run beside itself, and its Jobs come to an end."""
    if manifest.kind == "CronJob":
        if manifest.spec.get("concurrencyPolicy", "Allow") == "Allow":
            yield ("spec", "concurrencyPolicy"), "two Jobs may run at once"
        if "activeDeadlineSeconds" not in mapping(manifest.spec, "jobTemplate", "spec"):
            yield ("spec", "jobTemplate", "spec"), "no activeDeadlineSeconds"


RULES = (
    probe_missing,
    probe_empty,
    server_without_port,
    rollout_deadlock,
    grace_too_short,
    autoscaler_bounds,
    autoscaler_against_replicas,
    autoscaler_without_request,
    budget_blocks_drain,
    schedule_unsafe,
)
