"""Pods, ReplicaSets and events as a kubelet, a scheduler and controllers of Kubernetes 1.36 leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.export.lift.apiserver import ApiServer, Object
from tests.export.lift.conftest import SPACE, settled

Trouble = Callable[[ApiServer, Object], None]


def of(name: str, pod: Object | None = None, **status: Any) -> Trouble:
    """Controllers under which one Deployment or Job has a pod in some state, and everything else is well."""

    def live(server: ApiServer, entry: Object) -> None:
        if entry["metadata"]["name"] != name or entry["kind"] not in ("Deployment", "Job"):
            settled(server, entry)
            return
        counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 0} if entry["kind"] == "Deployment" else {}
        entry["status"] = {"observedGeneration": entry["metadata"]["generation"], **counts, **status}
        if pod is not None:
            _made(server, entry, pod)

    return live


def _made(server: ApiServer, owner: Object, pod: Object) -> None:
    labels = {"app.kubernetes.io/component": owner["metadata"]["labels"]["app.kubernetes.io/component"]}
    name = f"{owner['metadata']['name']}-7d4b-x2x"
    if owner["kind"] == "Job":
        labels = {"batch.kubernetes.io/job-name": owner["metadata"]["name"]}
    else:
        revision = {"deployment.kubernetes.io/revision": "2"}
        owner["metadata"]["annotations"] = revision
        labels["pod-template-hash"] = "7d4b"
        owners = [{"uid": owner["metadata"]["uid"]}]
        metadata = {"labels": labels, "annotations": revision, "ownerReferences": owners}
        server.put("ReplicaSet", f"{owner['metadata']['name']}-7d4b", SPACE, metadata=metadata)
        # The former revision's pod is in trouble too; nobody wants to hear of it.
        former = {"labels": {**labels, "pod-template-hash": "old"}}
        server.put(
            "Pod", f"{owner['metadata']['name']}-old-z9z", SPACE, status=waits("InvalidImageName"), metadata=former
        )
    server.put("Pod", name, SPACE, status=pod, metadata={"labels": labels})


def waits(reason: str, message: str = "", restarts: int = 0, **more: Any) -> Object:
    """The status of a pod whose container waits."""
    entry = {
        "name": "server",
        "image": "registry.test/shop/delay:1",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        **more,
    }
    return {"phase": "Pending", "containerStatuses": [entry]}


def event(server: ApiServer, name: str, uid: str, reason: str, message: str) -> None:
    """An event about an object."""
    kind = "Normal" if reason == "TriggeredScaleUp" else "Warning"
    server.put("Event", name, SPACE, involvedObject={"uid": uid}, reason=reason, message=message, type=kind)


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: "
            "3 No preemption victims found for incoming pod.",
        }
    ],
}
PULL = (
    'Back-off pulling image "registry.test/shop/delay:1": ErrImagePull: failed to pull and unpack image '
    '"registry.test/shop/delay:1": failed to resolve reference: registry.test/shop/delay:1: not found'
)
CRASHED = waits(
    "CrashLoopBackOff",
    "back-off 20s restarting failed container=server pod=delay-7d4b-x2x",
    restarts=2,
    lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
)
STARVED = waits("CrashLoopBackOff", restarts=3, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
QUOTA = (
    'pods "delay-7d4b-x2x" is forbidden: exceeded quota: quota, requested: requests.cpu=1, used: requests.cpu=32, '
    "limited: requests.cpu=32"
)
RESTRICTED = (
    'pods "delay-7d4b-x2x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
    '(container "server" must set securityContext.allowPrivilegeEscalation=false)'
)
