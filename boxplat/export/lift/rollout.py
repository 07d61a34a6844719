"""Waiting until what was applied works, or until it is plain that it will not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from boxplat.adapters.cluster import Cluster, Kind
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift.bundle import Ref, ref
from boxplat.export.lift.stuck import PODS, Watch, ended
from boxplat.export.model import Document

_SETS = Kind("apps/v1", "ReplicaSet", "replicasets", namespaced=True)
_REVISION = "deployment.kubernetes.io/revision"
Kinds = Mapping[tuple[str, str], Kind]


def wait(watch: Watch, kinds: Kinds, documents: Sequence[Document], told: Callable[[str], None]) -> None:
    """Until every object of a wave is ready.

    Raises:
        BoxError: one is stuck, has failed, or is not ready in time (exit code 6).
    """
    waiting = [document for document in documents if document["kind"] in _READY]
    began, said = watch.clock(), dict[Ref, str]()
    while waiting:
        left = []
        for document in waiting:
            name = ref(document)
            state = _state(watch, kinds, name)
            if state:
                left.append(document)
            if said.get(name) != state:
                told(f"{name}: {state or 'ready'}")
                said[name] = state
        waiting = left
        if waiting and watch.clock() - began > watch.patience.ready:
            raise _late(watch, said, waiting)
        if waiting:
            time.sleep(watch.patience.poll)


def gone(watch: Watch, kind: Kind, name: Ref) -> None:
    """Until a deleted object is no longer there.

    Raises:
        BoxError: something keeps it for longer than a wave may take (exit code 6).
    """
    began = watch.clock()
    while (live := watch.cluster.read(kind, name.name, name.namespace)) is not None:
        if watch.clock() - began > watch.patience.ready:
            raise BoxError(
                f"{name} is deleted but does not go",
                why=f"finalizers: {', '.join(live['metadata'].get('finalizers', [])) or 'none'}",
                fix=f"kubectl get -n {name.namespace} {name.kind.lower()} {name.name} -o yaml",
                code=ExitCode.TIMED_OUT,
            )
        time.sleep(watch.patience.poll)


def _state(watch: Watch, kinds: Kinds, name: Ref) -> str:
    """What an object still lacks, empty when it is ready."""
    live = watch.cluster.read(kinds[name.api_version, name.kind], name.name, name.namespace)
    if live is None:
        raise BoxError(
            f"{name} was there and is gone",
            why="somebody else, or a controller, has deleted it",
            fix="box lift --resume",
        )
    return _READY[name.kind](watch, name, live)


def _late(watch: Watch, said: Mapping[Ref, str], waiting: Sequence[Document]) -> BoxError:
    return BoxError(
        f"{len(waiting)} of the objects are not ready after {watch.patience.ready:.0f} s",
        why="\n".join(f"{ref(document)}: {said[ref(document)]}" for document in waiting),
        fix="box lift --resume   (waits again; or: box lift --rollback)",
        code=ExitCode.TIMED_OUT,
    )


def _deployment(watch: Watch, name: Ref, live: Document) -> str:
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "not seen by the cluster yet"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated >= wanted and available >= wanted and status.get("replicas", 0) <= updated:
        return ""
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    if conditions.get("ReplicaFailure", {}).get("status") == "True":
        error = watch.unmade(name, conditions["ReplicaFailure"].get("message", ""))
        if error is not None:
            raise error
    watch.check(name, _newest_pods(watch.cluster, live))
    overdue = conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded"
    # Whoever goes on after mending the cause finds what the cluster said before.
    if overdue and watch.longer(f"{name} overdue", "overdue", watch.patience.pending):
        raise _overdue(name, conditions["Progressing"].get("message", ""))
    return f"{available} of {wanted} available, {updated} new"


def _overdue(name: Ref, message: str) -> BoxError:
    return BoxError(
        f"{name} makes no progress",
        why=message or "its pods run, but do not become ready",
        fix=f"kubectl logs -n {name.namespace} deployment/{name.name}   (then: box lift --resume or --rollback)",
        code=ExitCode.TIMED_OUT,
    )


def _newest_pods(cluster: Cluster, live: Document) -> list[Document]:
    """The pods of the revision that is being rolled out: the former one's troubles are no news."""
    metadata = live["metadata"]
    selector = _selector(live)
    revision = metadata.get("annotations", {}).get(_REVISION)
    hashes = {
        entry["metadata"]["labels"]["pod-template-hash"]
        for entry in cluster.list(_SETS, metadata["namespace"], labelSelector=selector)
        if entry["metadata"].get("annotations", {}).get(_REVISION) == revision
        and any(owner["uid"] == metadata["uid"] for owner in entry["metadata"].get("ownerReferences", []))
    }
    pods = cluster.list(PODS, metadata["namespace"], labelSelector=selector)
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get("pod-template-hash") in hashes]


def _selector(live: Document) -> str:
    labels = live["spec"]["selector"]["matchLabels"]
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _stateful(watch: Watch, name: Ref, live: Document) -> str:
    status, wanted = live.get("status", {}), live["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "not seen by the cluster yet"
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    if ready >= wanted and updated >= wanted:
        return ""
    watch.check(name, watch.cluster.list(PODS, name.namespace, labelSelector=_selector(live)))
    return f"{ready} of {wanted} ready"


def failed(live: Document | None) -> bool:
    """Whether a Job has failed for good."""
    return live is not None and "Failed" in _conditions(live)


def _conditions(live: Document) -> dict[str, Document]:
    return {entry["type"]: entry for entry in live.get("status", {}).get("conditions", []) if entry["status"] == "True"}


def _job(watch: Watch, name: Ref, live: Document) -> str:
    status, conditions = live.get("status", {}), _conditions(live)
    if "Complete" in conditions:
        return ""
    pods = list(watch.cluster.list(PODS, name.namespace, labelSelector=f"batch.kubernetes.io/job-name={name.name}"))
    if "Failed" in conditions:
        for pod, entry in reversed(list(ended(pods))):
            raise watch.crashed(name, pod, entry)
        raise BoxError(
            f"{name} failed: {conditions['Failed'].get('reason', '')}",
            why=conditions["Failed"].get("message", ""),
            fix=f"kubectl describe -n {name.namespace} job {name.name}   (then: box lift --resume)",
        )
    watch.check(name, pods)
    if not pods:
        messages = watch.refusals(name.namespace, live["metadata"]["uid"])
        error = watch.unmade(name, messages[-1]) if messages else None
        if error is not None:
            raise error
    return f"running, {status.get('failed', 0)} failed" if pods else "no pod yet"


def _route(watch: Watch, name: Ref, live: Document) -> str:
    """A gateway has a moment to look at a route; one that nobody looks at is nobody's fault here."""
    current = [
        (parent["parentRef"]["name"], condition)
        for parent in live.get("status", {}).get("parents", [])
        for condition in parent.get("conditions", [])
        if condition.get("observedGeneration", 0) >= live["metadata"]["generation"]
    ]
    for gateway, condition in current:
        if condition["type"] in ("Accepted", "ResolvedRefs") and condition["status"] == "False":
            raise BoxError(
                f"{name} is not accepted by gateway {gateway}: {condition['reason']}",
                why=condition.get("message", condition["reason"]),
                fix='[export] gateway = "NAMESPACE/NAME" in boxplat.toml   (kubectl get gateways -A)',
            )
    if current or watch.longer(str(name), "unseen", watch.patience.refused):
        return ""
    return "no gateway has looked at it yet"


_READY: Mapping[str, Callable[[Watch, Ref, Any], str]] = {
    "Deployment": _deployment,
    "StatefulSet": _stateful,
    "Job": _job,
    "HTTPRoute": _route,
    "GRPCRoute": _route,
}
