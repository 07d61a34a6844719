"""Feast on a cluster: the project's own repository with a SQL registry and a Redis online store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from boxplat.core.environment import QUIET
from boxplat.export import document, kustomize, names, workloads
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
# Where features are read, other than on the volume that flows write to: components, of which an overlay takes one.
S3, SPARK = "offline-s3", "offline-spark"
_ELSEWHERE = ("python", "-m", "boxplat.features.elsewhere")
_HOURLY = "17 * * * *"
_OWN_ENGINE = "boxplat.features.BoxComputeEngine"
_MATERIALIZE = 'exec feast materialize-incremental "$(date -u +%Y-%m-%dT%H:%M:%S)"'


def cluster_store(local: Mapping[str, Any], policy: Policy, offline: str = "") -> Document:
    """`feature_store.yaml` for the cluster: the project's own, with the registry and the online store replaced.

    With `offline` = `SPARK` the offline store is Feast's own on Spark. Feast expands `${…}` from the environment when
    it reads the file, so no address is written. An engine that loads boxplat's own online store cannot load another
    one, and is left out.
    """
    engine = local.get("batch_engine")
    kind = engine.get("type", "") if isinstance(engine, Mapping) else engine
    kept = {key: value for key, value in local.items() if key != "batch_engine" or kind != _OWN_ENGINE}
    return {
        **kept,
        "registry": {"registry_type": "sql", "path": "${FEAST_REGISTRY_URL}", "cache_ttl_seconds": 60},
        "online_store": {"type": "redis", "connection_string": "${FEAST_ONLINE_STORE}"},
        **({"offline_store": _spark(policy)} if offline == SPARK else {}),
    }


def _spark(policy: Policy) -> Document:
    """The keys come from the environment, as those of every other client of the storage do."""
    address = urlsplit(policy.storage_endpoint)
    other = {
        "spark.hadoop.fs.s3a.endpoint": policy.storage_endpoint,
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(address.scheme == "https").lower(),
    }
    conf = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.EnvironmentVariableCredentialsProvider",
        **(other if policy.storage_endpoint else {}),
    }
    staging = policy.storage.replace("s3://", "s3a://", 1)
    return {"type": "spark", "spark_conf": conf, "staging_location": f"{staging}/feast-staging"}


def has_local_server(local: Mapping[str, Any]) -> bool:
    """Whether runs on this machine are told of a feature server, as runs on the cluster are then."""
    online = local.get("online_store")
    return isinstance(online, Mapping) and str(online.get("type")).endswith(".BoxOnlineStore")


def storage_env(policy: Policy) -> dict[str, str]:
    """Where AWS's clients, Arrow's among them, find the storage."""
    return {"AWS_ENDPOINT_URL": policy.storage_endpoint} if policy.storage_endpoint else {}


def documents(local: Mapping[str, Any], repo: str, policy: Policy, offline: str = "") -> list[Document]:
    """ConfigMap, feature server, the Job that applies the repository, and the CronJob that materializes.

    Args:
        offline: empty, `S3` or `SPARK`: the Parquet files are published to the storage, and read there.
    """
    store = document.dump(cluster_store(local, policy, offline))
    pod = _pod(repo, policy, offline)
    job = replace(pod, labels={names.INSTANCE: "features-jobs"}, priority="box-batch")
    # A Job cannot be changed, so a new repository or store makes a new one.
    digest = hashlib.sha256(f"{pod.image}\0{store}\0{offline}".encode()).hexdigest()[:8]
    apply = [*_ELSEWHERE, "apply"] if offline else ["feast", "apply"]
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
            "spec": _job(replace(job, command=apply), policy, 3300, offline),
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": _metadata("features-materialize", policy),
            "spec": {
                **_SCHEDULING,
                # Suspended it is still what a lift, or a person, makes a Job of.
                "suspend": not policy.materialize,
                "schedule": policy.materialize or _HOURLY,
                "jobTemplate": {"spec": _job(replace(job, command=["sh", "-c", _MATERIALIZE]), policy, 3300, offline)},
            },
        },
        workloads.deployment(pod, policy, policy.replicas.get(FEATURES, 1)),
        workloads.service(pod, policy),
    ]


def components(local: Mapping[str, Any], repo: str, policy: Policy) -> dict[str, kustomize.Layer]:
    """What makes the base read its features from the storage: with DuckDB as here, or with Spark."""
    base = documents(local, repo, policy)
    return {kind: kustomize.changes(base, documents(local, repo, policy, kind)) for kind in (S3, SPARK)}


def _job(pod: workloads.Pod, policy: Policy, deadline: int, offline: str) -> Document:
    """What was moved to the storage is brought to the volume first."""
    spec = workloads.job_template(pod, policy, deadline)
    first = ["fetch", "publish"] if offline else ["fetch"]
    spec["template"]["spec"]["initContainers"] = [workloads.container(pod, verb, [*_ELSEWHERE, verb]) for verb in first]
    return spec


def _pod(repo: str, policy: Policy, offline: str) -> workloads.Pod:
    kind = {"BOXPLAT_OFFLINE_KIND": offline.removeprefix("offline-")} if offline else {}
    return workloads.Pod(
        component=FEATURES,
        image=policy.images[FEATURES],
        command=["feast", "serve", "--host", "0.0.0.0", "--port", str(FEATURES_PORT), "--no-access-log"],
        env={
            **QUIET,
            "BOXPLAT_DATA": names.DATA,
            **STORE_ENV,
            **CLUSTER_ENV,
            **storage_env(policy),
            "BOXPLAT_OFFLINE": f"{policy.storage}/data",
            **kind,
        },
        secrets=SECRETS,
        secret_env=("storage",),
        mounts={"feature-store": names.FEATURE_STORE, "data": names.DATA},
        volumes={**VOLUME, "data": {"persistentVolumeClaim": {"claimName": "data"}}},
        working_dir=f"{names.ROOT}/{repo}",
        labels={names.INSTANCE: FEATURES},
        priority="box-serving",
        port=FEATURES_PORT,
        cpu=0.5,
        memory=1024,
    )


def _metadata(name: str, policy: Policy) -> Document:
    return names.metadata(name, policy.namespace, policy.project, FEATURES)
