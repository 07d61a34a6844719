"""MLflow on PostgreSQL and object storage, from the declaration of the local tracking server."""

from __future__ import annotations

from dataclasses import replace

from boxplat.core.model import Service
from boxplat.export import workloads
from boxplat.export.model import TRACKING, Document, Policy
from boxplat.export.references import CLUSTER_ENV, Cluster, port

_DATABASE = ("database", "tracking-url")
# The stores are one database; its address is secret.
_STORES = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE")
_SCHEMA = """\
import os
from mlflow.store.db import utils
engine = utils.create_sqlalchemy_engine_with_retry(os.environ["_MLFLOW_SERVER_FILE_STORE"])
(utils._initialize_tables if utils._is_empty_database(engine) else utils._upgrade_db)(engine)
"""


def documents(service: Service, cluster: Cluster, policy: Policy) -> list[Document]:
    """Deployment and Service of the tracking server.

    The variables are those of the local run; the stores' values come from a Secret, artifacts go to object storage, and
    the allowed hosts are the names of the Service. One container makes or upgrades the schema first.
    """
    number = port(service)
    hosts = [TRACKING, f"{TRACKING}.{policy.namespace}.svc", f"{TRACKING}.{policy.namespace}.svc.cluster.local"]
    env = cluster.env(service) | {
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{policy.storage}/mlflow",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(f"{host}:{number}" for host in [*hosts, "localhost"]),
        **CLUSTER_ENV,
    }
    if policy.storage_endpoint:
        env["MLFLOW_S3_ENDPOINT_URL"] = policy.storage_endpoint
    pod = workloads.Pod(
        component=TRACKING,
        image=policy.images[TRACKING],
        command=cluster.command(service),
        env=env,
        secrets=dict.fromkeys(_STORES, _DATABASE),
        secret_env=("storage",),
        port=number,
        health=service.health,
        start_seconds=service.start_seconds,
        stop_seconds=service.stop_seconds,
        cpu=service.cpu,
        memory=max(service.memory_mib, 512),
    )
    schema = workloads.container(replace(pod, memory=512), "schema", ["python", "-c", _SCHEMA])
    return [workloads.deployment(pod, policy, service.replicas, [schema]), workloads.service(pod, policy)]
