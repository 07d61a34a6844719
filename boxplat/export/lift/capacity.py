"""Whether a cluster has room for an export: quotas of the namespace, GPUs of the nodes, volumes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from boxplat.adapters.cluster import Cluster, Kind, Refusal
from boxplat.export.check import quantities
from boxplat.export.lift.bundle import Bundle, Ref, pod_specs, pod_template, ref
from boxplat.export.lift.findings import Finding, blocked, danger, note
from boxplat.export.model import Document

_SHORT = {"Ti": Decimal(1024**4), "Gi": Decimal(1024**3), "Mi": Decimal(1024**2)}
# Provisioners whose volumes one node at a time can write to.
_SINGLE = ("ebs.csi.aws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com", "rancher.io/local-path")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_PLAIN = ("cpu", "memory", "ephemeral-storage")

Amounts = dict[str, Decimal]


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number; the server has taken each of them."""
    return quantities.amount(quantity) or Decimal(0)


def quota(cluster: Cluster, bundle: Bundle, live: Mapping[Any, Document | None]) -> Iterator[Finding]:
    """What the servers of the export need beyond what they have, against what the namespace's quotas leave.

    Args:
        live: the objects of the export as they are on the cluster, by reference.
    """
    wanted = _sum(bundle.documents)
    held = _sum(document for document in live.values() if document is not None)
    growth = {key: wanted[key] - held.get(key, Decimal(0)) for key in wanted}
    hard = {ref(document).name: document["spec"]["hard"] for document in bundle.documents if _is_quota(document)}
    kind = Kind("v1", "ResourceQuota", "resourcequotas", namespaced=True)
    try:
        there = {entry["metadata"]["name"]: entry for entry in cluster.list(kind, bundle.namespace)}
    except Refusal as refusal:
        if refusal.code not in (403, 404):
            raise
        there = {}
    for name in sorted({*hard, *there}):
        used = there.get(name, {}).get("status", {}).get("used", {})
        limits = hard.get(name) or there[name]["spec"].get("hard", {})
        for key, limit in limits.items():
            needed = growth.get(key, Decimal(0))
            left = amount(limit) - amount(used.get(key, "0"))
            if needed > 0 and needed > left:
                what = f"quota {name} leaves {_short(left)} of {key}, the servers need {_short(needed)} more"
                yield blocked(
                    "quota", what, f"raise it: [overlays.{bundle.overlay}] quota in boxplat.toml, or fewer replicas"
                )


def gpus(cluster: Cluster, bundle: Bundle) -> Iterator[Finding]:
    """For each kind of GPU that a pod asks for a node that has it and lets the pod in."""
    asked: dict[tuple[str, Decimal, str], tuple[Ref, Mapping[str, Any]]] = {}
    for document in bundle.documents:
        for spec in pod_specs(document):
            for resource, number in _devices(spec):
                asked.setdefault((resource, number, _placement(spec)), (ref(document), spec))
    if not asked:
        return
    nodes = _listed(cluster, Kind("v1", "Node", "nodes", namespaced=False))
    if nodes is None:
        yield note("gpu", "you may not list nodes, so that GPUs are not checked")
        return
    for (resource, number, _), (owner, spec) in asked.items():
        having = [node for node in nodes if amount(node["status"].get("allocatable", {}).get(resource, "0")) >= number]
        if not having:
            what = f"no node offers {_short(number)} {resource}, which {owner} asks for"
            yield danger(
                "gpu",
                f"{what}: it waits until the cluster adds one",
                "[gpus.NAME] in boxplat.toml names what the cluster has",
            )
        elif not any(_admits(node, spec) for node in having):
            what = f"the nodes with {resource} keep {owner} out by their labels or taints"
            yield blocked("gpu", what, "set selector and tolerations of [gpus.NAME] in boxplat.toml")


def storage(cluster: Cluster, bundle: Bundle, live: Mapping[Any, Document | None]) -> Iterator[Finding]:
    """A StorageClass for each volume that is not there yet."""
    claims = [document for document in bundle.documents if document["kind"] == "PersistentVolumeClaim"]
    claims = [claim for claim in claims if live.get(ref(claim)) is None]
    if not claims:
        return
    classes = _listed(cluster, Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False))
    if classes is None:
        yield note("storage", "you may not list StorageClasses, so that volumes are not checked")
        return
    for claim in claims:
        yield from _claim(claim, classes)


def _listed(cluster: Cluster, kind: Kind) -> list[Document] | None:
    """All of a kind, or None where one may not look."""
    try:
        return list(cluster.list(kind))
    except Refusal as refusal:
        if refusal.code != 403:
            raise
        return None


def _claim(claim: Document, classes: Sequence[Document]) -> Iterator[Finding]:
    name = claim["spec"].get("storageClassName")
    chosen = [one for one in classes if (one["metadata"]["name"] == name if name else _is_default(one))]
    if not chosen:
        wanted = f"no StorageClass {name}" if name else "no default StorageClass"
        fix = f"kubectl annotate storageclass NAME {_DEFAULT_CLASS}=true"
        yield blocked("storage", f"{wanted} for {ref(claim)}", fix)
    elif "ReadWriteMany" in claim["spec"]["accessModes"] and chosen[0]["provisioner"] in _SINGLE:
        what = f"{ref(claim)} is for several nodes, which StorageClass {chosen[0]['metadata']['name']} cannot give"
        yield danger(
            "storage", f"{what} ({chosen[0]['provisioner']})", "make a StorageClass for shared files the default"
        )


def _is_default(entry: Mapping[str, Any]) -> bool:
    return bool(entry["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")


def _is_quota(document: Mapping[str, Any]) -> bool:
    return bool(document["kind"] == "ResourceQuota")


def _sum(documents: Iterable[Document]) -> Amounts:
    """What the long-running pods of some documents take, in the words of a quota."""
    total: Amounts = {}
    for document in documents:
        template = pod_template(document)
        if template is None or document["kind"] not in ("Deployment", "StatefulSet"):
            continue
        replicas = Decimal(document["spec"].get("replicas", 1))
        total["pods"] = total.get("pods", Decimal(0)) + replicas
        for container in template["spec"]["containers"]:
            for side, amounts in container.get("resources", {}).items():
                for resource, quantity in amounts.items():
                    # Of what is counted in devices a quota knows the request, which is the limit.
                    key = f"requests.{resource}" if resource not in _PLAIN else f"{side}.{resource}"
                    if resource in _PLAIN or side == "limits":
                        total[key] = total.get(key, Decimal(0)) + replicas * amount(quantity)
    return total


def _devices(spec: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for container in spec["containers"]:
        for resource, quantity in container.get("resources", {}).get("limits", {}).items():
            if resource not in _PLAIN and "/" in resource:
                yield resource, amount(quantity)


def _placement(spec: Mapping[str, Any]) -> str:
    return repr((sorted(spec.get("nodeSelector", {}).items()), spec.get("tolerations", [])))


def _admits(node: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    labels = node["metadata"].get("labels", {})
    taints = [taint for taint in node.get("spec", {}).get("taints", []) if taint["effect"] != "PreferNoSchedule"]
    tolerations = spec.get("tolerations", [])
    return spec.get("nodeSelector", {}).items() <= labels.items() and all(
        any(_tolerates(toleration, taint) for toleration in tolerations) for taint in taints
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]) or toleration.get("key") not in (None, taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _short(number: Decimal) -> str:
    for unit, size in _SHORT.items():
        if number >= size:
            return f"{float(number / size):.4g}{unit}"
    return f"{float(number):.4g}"
