"""Endpoints, and the user's own services, as Deployments that scale and roll without a failed request."""

from __future__ import annotations

import math
from collections.abc import Sequence

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.export_config import GpuConfig
from boxplat.core.model import Service
from boxplat.export import gpus, names, workloads
from boxplat.export.model import Document, LiveRelease, Policy
from boxplat.export.platform import features, tracking
from boxplat.export.references import CLUSTER_ENV, Cluster, grpc_port, port, secret_names
from boxplat.export.serving.instances import Instance, instances

BENTO = f"{names.ROOT}/bento"
PRIORITY = "box-serving"
# Who closes first sends no request into a closing connection. Gateways keep one for an hour at most (Envoy).
_KEPT = "3900"
_TRACKING_URI = "MLFLOW_TRACKING_URI"
_BENTOS = f"{names.STATE}/bentoml/bentos/"


def documents(
    service: Service, releases: Sequence[LiveRelease], cluster: Cluster, policy: Policy, with_features: bool
) -> list[Document]:
    """Deployment and Service of each release; an autoscaler where CPU is the bottleneck, and a disruption budget.

    Args:
        service: the declaration of the release that gets most of the requests, or of a service of the user's.
        releases: all that get requests or copies of them.

    Raises:
        BoxError: it needs a GPU that `[gpus]` does not have (exit code 2).
    """
    made = []
    for one in instances(service, releases):
        made += _workload(one, _pod(one, cluster, policy, with_features), policy)
    return made


def _workload(one: Instance, pod: workloads.Pod, policy: Policy) -> list[Document]:
    replicas = 1 if one.is_shadow else policy.replicas.get(one.endpoint, one.service.replicas)
    is_endpoint = one.service.kind == "endpoint"
    scaled = is_endpoint and not pod.gpu
    made = [workloads.deployment(pod, policy, None if scaled else replicas), workloads.service(pod, policy)]
    if scaled:
        made.append(_autoscaler(pod, policy, replicas))
    if is_endpoint or replicas >= 2:
        made.append(_budget(pod, policy))
    return made


def _pod(one: Instance, cluster: Cluster, policy: Policy, with_features: bool) -> workloads.Pod:
    service = one.service
    is_endpoint = service.kind == "endpoint"
    return workloads.Pod(
        component=one.endpoint,
        name=one.name,
        labels=one.labels if is_endpoint else {},
        notes={names.RELEASE: str(one.release.number)} if one.release else {},
        annotations=_made_of(one.release) if one.release else {},
        priority=PRIORITY if is_endpoint else "",
        spread=is_endpoint,
        image=policy.images[one.name],
        command=[*map(_in_image, cluster.command(service)), *_kept(one)],
        env={
            **cluster.env(service),
            **(features.STORE_ENV if with_features else {}),
            # A server that makes a worker for each core must not count those of the whole node.
            **({"BOXPLAT_CORES": str(math.ceil(service.cpu))} if is_endpoint else {}),
            **CLUSTER_ENV,
        },
        secrets={
            **(tracking.CLIENT_SECRETS if _TRACKING_URI in service.env else {}),
            **(features.SECRETS if with_features else {}),
            **_secrets(service, one.endpoint),
        },
        mounts={"feature-store": names.FEATURE_STORE} if with_features else {},
        volumes=features.VOLUME if with_features else {},
        working_dir=_in_image(cluster.text(service.cwd, service)),
        port=port(service),
        grpc_port=grpc_port(service) if service.grpc_port else 0,
        health=service.health,
        live=one.live,
        start_seconds=service.start_seconds,
        stop_seconds=service.stop_seconds,
        cpu=service.cpu,
        memory=service.memory_mib,
        gpu=_gpu(service, policy) if service.gpu_memory_mib > 0 else None,
    )


def _gpu(service: Service, policy: Policy) -> GpuConfig:
    try:
        return gpus.chosen(gpus.Need(memory_mib=service.gpu_memory_mib), policy.gpus)
    except gpus.Unknown as error:
        raise BoxError(
            f"{service.name} cannot be exported: no GPU of the cluster is known to fit it",
            why=str(error),
            fix=f"declare one in boxplat.toml: {error.fix}",
            code=ExitCode.USAGE,
        ) from error


def _kept(one: Instance) -> list[str]:
    """How long the server keeps a connection that nothing is asked on."""
    if one.service.kind != "endpoint":
        return []
    return ["--keep-alive" if one.is_worker else "--timeout-keep-alive", _KEPT]


def _made_of(release: LiveRelease) -> dict[str, str]:
    found = {"boxplat/bento": release.bento, "boxplat/model": release.model_version}
    return {key: value for key, value in found.items() if value}


def _secrets(service: Service, component: str) -> dict[str, tuple[str, str]]:
    """Variables whose values are nobody's to read: the cluster's Secret of the component's name supplies them."""
    return {key: (component, key) for key in secret_names(service)}


def _in_image(word: str) -> str:
    """The image of an endpoint holds its Bento in one place."""
    return BENTO if word.startswith(_BENTOS) else word


def _autoscaler(pod: workloads.Pod, policy: Policy, replicas: int) -> Document:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": pod.metadata(policy),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": pod.title},
            "minReplicas": replicas,
            "maxReplicas": max(replicas, policy.max_replicas),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
    }


def _budget(pod: workloads.Pod, policy: Policy) -> Document:
    """One pod at a time may be moved; also the only one, so that a node can be drained."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": pod.metadata(policy),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": pod.selector}},
    }
