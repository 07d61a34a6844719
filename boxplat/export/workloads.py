"""Pods, Deployments and Services in the one shape that every component shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.export_config import GpuConfig
from boxplat.export import gpus, names, security
from boxplat.export.model import Document, Policy


@dataclass(frozen=True, slots=True)
class Pod:
    """What tells one component's pod from another's.

    `name` is that of its objects, if not the component's; `labels` then tell its pods from the component's others, and
    `notes` are labels that may change. With `spread` they go to several nodes. `live` is where it says that it lives,
    if that is not `health`. `secrets` maps a variable to (Secret, key); `secret_env` names Secrets whose keys all
    become variables. `mounts` maps a volume's name to its path; `volumes` are the sources of those that are no empty
    folders. `memory` is in MiB.
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
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    priority: str = ""
    port: int = 0
    grpc_port: int = 0
    health: str = "/health"
    live: str = ""
    start_seconds: float = 90.0
    stop_seconds: float = 8.0
    cpu: float = 1.0
    memory: int = 512
    gpu: GpuConfig | None = None
    spread: bool = False

    @property
    def title(self) -> str:
        return self.name or self.component

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which its Service and its Deployment find its pods."""
        return {**names.selector(self.component), **self.labels}

    def metadata(self, policy: Policy) -> Document:
        """Of each of its objects."""
        found = names.metadata(self.title, policy.namespace, policy.project, self.component)
        return found | {"labels": found["labels"] | dict(self.labels)}


def container(pod: Pod, name: str, command: Sequence[str]) -> Document:
    """A container of the pod without ports and probes."""
    secret = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": source, "key": entry}}}
        for key, (source, entry) in pod.secrets.items()
    ]
    plain = [{"name": key, "value": value} for key, value in pod.env.items() if key not in pod.secrets]
    memory = f"{pod.memory}Mi"
    limits = {"memory": memory, **({pod.gpu.resource: "1"} if pod.gpu else {})}
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
    if pod.spread:
        spec["topologySpreadConstraints"] = [_spread(pod)]
    if pod.priority:
        spec["priorityClassName"] = pod.priority
    if pod.gpu:
        spec |= gpus.placement(pod.gpu)
    return spec


def _spread(pod: Pod) -> Document:
    """On several nodes where there are several: one that fails takes no more than its share of the pods along."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pod.selector},
    }


def server(pod: Pod) -> Document:
    """The main container of a pod that answers HTTP: called once healthy, started anew when it hangs."""
    ready, alive = _probe(pod, pod.health), _probe(pod, pod.live or pod.health)
    grpc = [{"name": "grpc", "containerPort": pod.grpc_port}] if pod.grpc_port else []
    return container(pod, pod.component, pod.command) | {
        "ports": [{"name": "http", "containerPort": pod.port}, *grpc],
        "startupProbe": ready | {"periodSeconds": 3, "failureThreshold": max(10, int(pod.start_seconds / 3) + 1)},
        "readinessProbe": ready | {"periodSeconds": 5, "failureThreshold": 2},
        # A server that waits for another one must not be started anew for it.
        "livenessProbe": alive | {"periodSeconds": 15, "failureThreshold": 4},
        # Endpoints leave the Service's list a moment after the pod is told to stop.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
    }


def _probe(pod: Pod, path: str) -> Document:
    # The kubelet calls the pod by its address, which a server that checks the Host header would refuse.
    host = {"name": "Host", "value": f"localhost:{pod.port}"}
    return {"httpGet": {"path": path, "port": "http", "httpHeaders": [host]}, "timeoutSeconds": 5}


def deployment(pod: Pod, policy: Policy, replicas: int | None, init: Sequence[Document] = ()) -> Document:
    """A Deployment; `replicas` is None where an autoscaler decides.

    A new pod of a GPU component waits for a device that the old one holds, so there the old one goes first.
    """
    surge = {"maxSurge": 0, "maxUnavailable": 1} if pod.gpu else {"maxSurge": 1, "maxUnavailable": 0}
    spec = pod_spec(pod, server(pod), init) | {"terminationGracePeriodSeconds": int(pod.stop_seconds) + 7}
    count = {} if replicas is None else {"replicas": replicas}
    metadata = pod.metadata(policy)
    labels = metadata["labels"] | dict(pod.notes)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata | ({"annotations": dict(pod.annotations)} if pod.annotations else {}),
        "spec": {
            **count,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": pod.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": surge},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service(pod: Pod, policy: Policy) -> Document:
    """The Service that gives a component its name inside the cluster."""
    ports = [{"name": "http", "port": pod.port, "targetPort": "http"}]
    if pod.grpc_port:
        # Gateways speak HTTP/1.1 to what does not say that it takes HTTP/2 without TLS.
        h2c = "kubernetes.io/h2c"
        ports.append({"name": "grpc", "port": pod.grpc_port, "targetPort": "grpc", "appProtocol": h2c})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": pod.metadata(policy),
        "spec": {"selector": pod.selector, "ports": ports},
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
        "template": {"metadata": {"labels": pod.metadata(policy)["labels"]}, "spec": spec},
    }
