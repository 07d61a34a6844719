"""Endpoints, and the user's own services, as Deployments that scale and roll without a failed request."""

from __future__ import annotations

from boxplat.core.model import Service
from boxplat.export import features, names, workloads
from boxplat.export.model import Document, Policy
from boxplat.export.references import CLUSTER_ENV, Cluster, port, secret_names

_BENTO = f"{names.ROOT}/bento"
_BENTOS = f"{names.STATE}/bentoml/bentos/"
_WORKER = "boxplat.serving.worker"


def _secrets(service: Service) -> dict[str, tuple[str, str]]:
    """Variables whose values are nobody's to read: the cluster's Secret of the service's name supplies them."""
    return {key: (service.name, key) for key in secret_names(service)}


def documents(service: Service, cluster: Cluster, policy: Policy, with_features: bool) -> list[Document]:
    """Deployment and Service; an autoscaler where CPU is the bottleneck, a disruption budget for two pods or more."""
    pod = workloads.Pod(
        component=service.name,
        image=policy.images[service.name],
        command=_command(cluster.command(service)),
        env={**cluster.env(service), **(features.STORE_ENV if with_features else {}), **CLUSTER_ENV},
        secrets={**(features.SECRETS if with_features else {}), **_secrets(service)},
        mounts={"feature-store": names.FEATURE_STORE} if with_features else {},
        volumes=features.VOLUME if with_features else {},
        working_dir=cluster.text(service.cwd, service),
        port=port(service),
        health=service.health,
        start_seconds=service.start_seconds,
        stop_seconds=service.stop_seconds,
        cpu=service.cpu,
        memory=service.memory_mib,
        gpu=service.gpu_memory_mib > 0,
    )
    scaled = service.kind == "endpoint" and not pod.gpu
    made = [workloads.deployment(pod, policy, None if scaled else service.replicas), workloads.service(pod, policy)]
    if scaled:
        made.append(_autoscaler(service, policy))
    if service.replicas >= 2:
        made.append(_budget(service, policy))
    return made


def _command(words: list[str]) -> list[str]:
    """The image of an endpoint holds its Bento in one place; without a passed socket BentoML's own server runs it.

    That one knows none of the worker's settings, which follow the address.
    """
    words = [_BENTO if word.startswith(_BENTOS) else word for word in words]
    if _WORKER in words:
        at = words.index(_WORKER)
        words = [*words[:at], "bentoml", "serve", *words[at + 1 : words.index("--port") + 2]]
    return words


def _autoscaler(service: Service, policy: Policy) -> Document:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": names.metadata(service.name, policy.namespace, policy.project, service.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": service.name},
            "minReplicas": service.replicas,
            "maxReplicas": max(service.replicas, policy.max_replicas),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
    }


def _budget(service: Service, policy: Policy) -> Document:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.metadata(service.name, policy.namespace, policy.project, service.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": names.selector(service.name)}},
    }
