"""Feast on a cluster: the project's own repository with a SQL registry and a Redis online store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from boxplat.core.environment import QUIET
from boxplat.export import document, names, workloads
from boxplat.export.model import FEATURES, Document, Policy
from boxplat.export.references import CLUSTER_ENV, FEATURES_PORT

STORE_ENV: Mapping[str, str] = {"FEAST_FS_YAML_FILE_PATH": f"{names.FEATURE_STORE}/feature_store.yaml"}
SECRETS: Mapping[str, tuple[str, str]] = {
    "FEAST_REGISTRY_URL": ("database", "registry-url"),
    "FEAST_ONLINE_STORE": ("online-store", "connection"),
}
VOLUME: Mapping[str, Document] = {"feature-store": {"configMap": {"name": "feature-store"}}}
_SCHEDULING: Document = {
    "timeZone": "Etc/UTC",
    "concurrencyPolicy": "Forbid",
    "startingDeadlineSeconds": 600,
    "successfulJobsHistoryLimit": 3,
    "failedJobsHistoryLimit": 5,
}
_OWN_ENGINE = "boxplat.features.BoxComputeEngine"
_MATERIALIZE = 'exec feast materialize-incremental "$(date -u +%Y-%m-%dT%H:%M:%S)"'


def cluster_store(local: Mapping[str, Any]) -> Document:
    """`feature_store.yaml` for the cluster: the project's own, with the registry and the online store replaced.

    Feast expands `${…}` from the environment when it reads the file, so no address is written. An engine that loads
    boxplat's own online store cannot load another one, and is left out.
    """
    engine = local.get("batch_engine")
    kind = engine.get("type", "") if isinstance(engine, Mapping) else engine
    kept = {key: value for key, value in local.items() if key != "batch_engine" or kind != _OWN_ENGINE}
    return {
        **kept,
        "registry": {"registry_type": "sql", "path": "${FEAST_REGISTRY_URL}", "cache_ttl_seconds": 60},
        "online_store": {"type": "redis", "connection_string": "${FEAST_ONLINE_STORE}"},
    }


def has_local_server(local: Mapping[str, Any]) -> bool:
    """Whether runs on this machine are told of a feature server, as runs on the cluster are then."""
    online = local.get("online_store")
    return isinstance(online, Mapping) and str(online.get("type")).endswith(".BoxOnlineStore")


def documents(local: Mapping[str, Any], repo: str, policy: Policy) -> list[Document]:
    """ConfigMap, feature server, the Job that applies the repository, and the CronJob that materializes."""
    store = document.dump(cluster_store(local))
    pod = _pod(repo, policy)
    # A Job cannot be changed, so a new repository or store makes a new one.
    digest = hashlib.sha256(f"{pod.image}\0{store}".encode()).hexdigest()[:8]
    apply = workloads.job_template(replace(pod, command=["feast", "apply"]), policy, deadline=900)
    materialize = workloads.job_template(replace(pod, command=["sh", "-c", _MATERIALIZE]), policy, deadline=3300)
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata("feature-store", policy),
            "data": {"feature_store.yaml": store},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": _metadata(f"features-apply-{digest}", policy),
            "spec": apply,
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": _metadata("features-materialize", policy),
            "spec": {
                **_SCHEDULING,
                "schedule": policy.materialize,
                "jobTemplate": {"spec": materialize},
            },
        },
        workloads.deployment(pod, policy, replicas=1),
        workloads.service(pod, policy),
    ]


def _pod(repo: str, policy: Policy) -> workloads.Pod:
    return workloads.Pod(
        component=FEATURES,
        image=policy.images[FEATURES],
        command=["feast", "serve", "--host", "0.0.0.0", "--port", str(FEATURES_PORT), "--no-access-log"],
        env={**QUIET, "BOXPLAT_DATA": names.DATA, **STORE_ENV, **CLUSTER_ENV},
        secrets=SECRETS,
        secret_env=("storage",),
        mounts={"feature-store": names.FEATURE_STORE, "data": names.DATA},
        volumes={**VOLUME, "data": {"persistentVolumeClaim": {"claimName": "data"}}},
        working_dir=f"{names.ROOT}/{repo}",
        port=FEATURES_PORT,
        cpu=0.5,
        memory=1024,
    )


def _metadata(name: str, policy: Policy) -> Document:
    return names.metadata(name, policy.namespace, policy.project, FEATURES)
