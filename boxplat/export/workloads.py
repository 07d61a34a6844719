"""Pods, Deployments and Services in the one shape that every component shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.export import names, security
from boxplat.export.model import Document, Policy


@dataclass(frozen=True, slots=True)
class Pod:
    """What tells one component's pod from another's.

    `secrets` maps a variable to (Secret, key); `secret_env` names Secrets whose keys all become variables. `mounts`
    maps a volume's name to its path; `volumes` are the sources of those that are no empty folders. `memory` is in MiB.
    """

    component: str
    image: str
    command: Sequence[str]
    env: Mapping[str, str]
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    secret_env: Sequence[str] = ()
    mounts: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, Document] = field(default_factory=dict)
    working_dir: str = names.ROOT
    port: int = 0
    health: str = "/health"
    start_seconds: float = 90.0
    stop_seconds: float = 8.0
    cpu: float = 1.0
    memory: int = 512
    gpu: bool = False


def container(pod: Pod, name: str, command: Sequence[str]) -> Document:
    """A container of the pod without ports and probes."""
    secret = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": source, "key": entry}}}
        for key, (source, entry) in pod.secrets.items()
    ]
    plain = [{"name": key, "value": value} for key, value in pod.env.items() if key not in pod.secrets]
    memory = f"{pod.memory}Mi"
    limits = {"memory": memory, **({security.GPU: "1"} if pod.gpu else {})}
    document: Document = {
        "name": name,
        "image": pod.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "workingDir": pod.working_dir,
        "env": plain + secret,
        "resources": {"requests": {"cpu": _cores(pod.cpu), "memory": memory}, "limits": limits},
        "securityContext": security.container(read_only=True),
        "volumeMounts": [{"name": key, "mountPath": path} for key, path in _mounts(pod).items()],
    }
    if pod.secret_env:
        document["envFrom"] = [{"secretRef": {"name": name}} for name in pod.secret_env]
    return document


def pod_spec(pod: Pod, main: Document, init: Sequence[Document] = ()) -> Document:
    """The spec of a pod around its main container."""
    spec: Document = {
        "serviceAccountName": pod.component,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security.pod(),
        "containers": [main],
        "volumes": [{"name": name, **pod.volumes.get(name, {"emptyDir": {}})} for name in _mounts(pod)],
    }
    if init:
        spec["initContainers"] = list(init)
    if pod.gpu:
        spec["tolerations"] = security.gpu_tolerations()
    return spec


def server(pod: Pod) -> Document:
    """The main container of a pod that answers HTTP: called once healthy, started anew when it hangs."""
    probe: Document = {
        # The kubelet calls the pod by its address, which a server that checks the Host header would refuse.
        "httpGet": {
            "path": pod.health,
            "port": "http",
            "httpHeaders": [{"name": "Host", "value": f"localhost:{pod.port}"}],
        },
        "timeoutSeconds": 5,
    }
    return container(pod, pod.component, pod.command) | {
        "ports": [{"name": "http", "containerPort": pod.port}],
        "startupProbe": probe | {"periodSeconds": 3, "failureThreshold": max(10, int(pod.start_seconds / 3) + 1)},
        "readinessProbe": probe | {"periodSeconds": 5, "failureThreshold": 2},
        "livenessProbe": probe | {"periodSeconds": 15, "failureThreshold": 4},
        # Endpoints leave the Service's list a moment after the pod is told to stop.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
    }


def deployment(pod: Pod, policy: Policy, replicas: int | None, init: Sequence[Document] = ()) -> Document:
    """A Deployment; `replicas` is None where an autoscaler decides.

    A new pod of a GPU component waits for a device that the old one holds, so there the old one goes first.
    """
    surge = {"maxSurge": 0, "maxUnavailable": 1} if pod.gpu else {"maxSurge": 1, "maxUnavailable": 0}
    spec = pod_spec(pod, server(pod), init) | {"terminationGracePeriodSeconds": int(pod.stop_seconds) + 7}
    count = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(pod.component, policy.namespace, policy.project, pod.component),
        "spec": {
            **count,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": names.selector(pod.component)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": surge},
            "template": {"metadata": {"labels": names.labels(policy.project, pod.component)}, "spec": spec},
        },
    }


def service(pod: Pod, policy: Policy) -> Document:
    """The Service that gives a component its name inside the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(pod.component, policy.namespace, policy.project, pod.component),
        "spec": {
            "selector": names.selector(pod.component),
            "ports": [{"name": "http", "port": pod.port, "targetPort": "http"}],
        },
    }


def _mounts(pod: Pod) -> dict[str, str]:
    return {"tmp": "/tmp", "state": names.STATE, **pod.mounts}


def _cores(cpu: float) -> str:
    return str(int(cpu)) if cpu == int(cpu) else f"{round(cpu * 1000)}m"


def job_template(pod: Pod, policy: Policy, deadline: int) -> dict[str, Any]:
    """The spec of a Job that runs the pod once, and twice more if it fails."""
    spec = pod_spec(pod, container(pod, pod.component, pod.command)) | {"restartPolicy": "Never"}
    return {
        "backoffLimit": 2,
        "activeDeadlineSeconds": deadline,
        "ttlSecondsAfterFinished": policy.keep_failed,
        "template": {"metadata": {"labels": names.labels(policy.project, pod.component)}, "spec": spec},
    }
