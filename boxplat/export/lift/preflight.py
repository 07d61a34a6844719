"""Whether a cluster can take an export: its version, the kinds it serves, the user's rights, the Secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from boxplat.adapters.cluster import Cluster, Kind, Refusal
from boxplat.export.lift.bundle import Bundle, Ref, pod_specs, ref
from boxplat.export.lift.findings import Finding, blocked, danger, note

# Strict validation of fields is on by default and stable since 1.27; the export is checked against these.
_OLDEST, _CHECKED = (1, 27), ((1, 34), (1, 37))
_VERBS = ("get", "create", "patch", "delete")
# Deleting one of these deletes data, or what other projects use.
KEPT = ("Namespace", "PersistentVolumeClaim", "PriorityClass")
# What waiting for pods, and telling why they do not start, needs.
_WATCHED = (
    ("list", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
    ("list", "apps", "replicasets"),
)
_PROVIDERS = {
    "argoproj.io": "Argo Workflows 3.6 or newer (Sensor, EventSource, EventBus: Argo Events)",
    "jobset.x-k8s.io": "the JobSet controller",
    "gateway.networking.k8s.io": "a Gateway API implementation, or leave `gateway` out of [overlays.NAME] components",
    "monitoring.coreos.com": "the Prometheus operator, or leave `monitoring` out of [overlays.NAME] components",
    "kueue.x-k8s.io": "Kueue, or leave `kueue` out of [overlays.NAME] components",
}
_JOBSET = "jobset.x-k8s.io/v1alpha2"


def version(cluster: Cluster) -> Iterator[Finding]:
    """The server's version against those that boxplat knows."""
    major, minor = cluster.version()
    shown = f"the cluster runs Kubernetes {major}.{minor}"
    if (major, minor) < _OLDEST:
        yield blocked("version", f"{shown}; 1.27 is the oldest that validates strictly", "upgrade the cluster")
    elif not _CHECKED[0] <= (major, minor) <= _CHECKED[1]:
        yield note("version", f"{shown}; the export was checked for 1.34 to 1.37")


def kinds(cluster: Cluster, bundle: Bundle) -> tuple[dict[tuple[str, str], Kind], list[Finding]]:
    """The kinds of an export as the cluster serves them, and what it does not serve."""
    wanted = bundle.kinds
    if any("resource" in entry for document in bundle.documents for entry in _templates(document)):
        wanted.add((_JOBSET, "JobSet"))
    served, missing = {}, []
    for api_version, name in sorted(wanted):
        kind = cluster.kind(api_version, name)
        if kind is not None:
            served[api_version, name] = kind
            continue
        provider = _PROVIDERS.get(api_version.rpartition("/")[0], "what serves it")
        what = f"the cluster does not serve {api_version} {name}"
        missing.append(blocked("kinds", what, f"install {provider}"))
    return served, missing


def given(cluster: Cluster, kinds: Mapping[tuple[str, str], Kind], bundle: Bundle) -> list[Ref]:
    """Objects of the whole cluster that are there as the export wants them, and that the user may not change.

    A tenant has no right to make namespaces and priority classes; an administrator has made them.
    """
    found = []
    for document in bundle.documents:
        name = ref(document)
        kind = kinds.get((name.api_version, name.kind))
        if kind is None or kind.namespaced or cluster.may("patch", kind.group, kind.resource):
            continue
        live = cluster.read(kind, name.name) if cluster.may("get", kind.group, kind.resource) else None
        if live is not None and _within(document, live):
            found.append(name)
    return found


def rights(cluster: Cluster, kinds: Mapping[tuple[str, str], Kind], namespace: str, smoke: bool) -> list[Finding]:
    """Every right that a lift uses, asked for one by one."""
    asked: list[tuple[str, str, str, str]] = [
        (verb, kind.group, kind.resource, namespace if kind.namespaced else "")
        for kind in kinds.values()
        for verb in _VERBS
        if verb != "delete" or kind.name not in KEPT
    ]
    asked += [(verb, group, resource, namespace) for verb, group, resource in _WATCHED]
    if smoke:
        asked += [(verb, "argoproj.io", "workflows", namespace) for verb in ("create", "get")]
    with ThreadPoolExecutor(max_workers=4) as pool:
        allowed = pool.map(lambda right: cluster.may(*right), asked)
        denied = [right for right, granted in zip(asked, allowed, strict=True) if not granted]
    findings: dict[str, Finding] = {}
    for verb, group, resource, place in denied:
        name = f"{resource}.{group}" if group else resource
        verbs = ", ".join(one[0] for one in denied if one[1:] == (group, resource, place))
        scope = f"-n {place} " if place else ""
        findings[name] = blocked(
            "rights",
            f"you may not {verbs} {name}" + (f" in {place}" if place else ""),
            f"kubectl {scope}auth can-i {verb} {name}   (ask the cluster's owner for the right)",
        )
    return list(findings.values())


def secrets(cluster: Cluster, bundle: Bundle) -> Iterator[Finding]:
    """The Secrets that the manifests refer to, with their keys. Values are not looked at, kept or shown."""
    kind = Kind("v1", "Secret", "secrets", namespaced=True)
    for name, keys in sorted(_wanted(bundle).items()):
        listed = ", ".join(sorted(keys)) or "what its pods need"
        fix = f"kubectl create -n {bundle.namespace} secret generic {name} --from-env-file=FILE   (with {listed})"
        try:
            found = cluster.read(kind, name, bundle.namespace)
        except Refusal as refusal:
            if refusal.code != 403:
                raise
            yield note("secrets", f"you may not look at Secret {name}, so its keys ({listed}) are not checked")
            continue
        if found is None:
            there = cluster.read(Kind("v1", "Namespace", "namespaces", namespaced=False), bundle.namespace) is not None
            first = "" if there else f"kubectl create namespace {bundle.namespace} && "
            yield blocked("secrets", f"no Secret {name} in {bundle.namespace} (keys: {listed})", first + fix)
        else:
            absent = sorted(keys - set(found.get("data", {})))
            if absent:
                yield blocked(
                    "secrets",
                    f"Secret {name} lacks {', '.join(absent)}",
                    f"kubectl edit -n {bundle.namespace} secret {name}",
                )


def stranger(cluster: Cluster, bundle: Bundle, lifted: bool) -> Iterator[Finding]:
    """Whether the namespace is somebody else's."""
    kind = Kind("v1", "Namespace", "namespaces", namespaced=False)
    found = cluster.read(kind, bundle.namespace)
    if found is None:
        return
    if found["metadata"].get("deletionTimestamp"):
        yield blocked(
            "namespace",
            f"namespace {bundle.namespace} is being deleted",
            f"kubectl get namespace {bundle.namespace} --watch",
        )
    project = found["metadata"].get("labels", {}).get("app.kubernetes.io/part-of")
    if project not in (None, bundle.project):
        what = f"namespace {bundle.namespace} belongs to project {project}"
        yield blocked("namespace", what, 'set another: [export] namespace = "…" in boxplat.toml')
    elif project is not None and not lifted:
        yield danger("namespace", f"{bundle.namespace} was lifted to from another machine: its history is not here")


def _wanted(bundle: Bundle) -> dict[str, set[str]]:
    """Every Secret in use, with the keys that are known: those of `envFrom` the export's lock lists."""
    listed: Mapping[str, Any] = bundle.lock.get("secrets", {})
    wanted: dict[str, set[str]] = {}
    for document in bundle.documents:
        for spec in pod_specs(document):
            for name, key in _used(spec):
                wanted.setdefault(name, set()).update({key} if key else listed.get(name, ()))
    return wanted


def _used(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        for entry in container.get("env", []):
            source = entry.get("valueFrom", {}).get("secretKeyRef")
            if source and not source.get("optional"):
                yield source["name"], source["key"]
        for entry in container.get("envFrom", []):
            if "secretRef" in entry and not entry["secretRef"].get("optional"):
                yield entry["secretRef"]["name"], ""
    for volume in spec.get("volumes", []):
        if "secret" in volume and not volume["secret"].get("optional"):
            items = volume["secret"].get("items") or [{"key": ""}]
            yield from ((volume["secret"]["secretName"], item["key"]) for item in items)


def _within(wanted: Any, live: Any) -> bool:
    """Whether everything in one value is in another."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return all(key in live and _within(value, live[key]) for key, value in wanted.items())
    return bool(wanted == live)


def _templates(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = document["spec"]["templates"] if document["kind"] == "WorkflowTemplate" else []
    return found
