"""MLflow on PostgreSQL and object storage, from the declaration of the local tracking server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import resources

from boxplat.core.model import Service
from boxplat.export import names, workloads
from boxplat.export.model import TRACKING, Document, Policy
from boxplat.export.references import CLUSTER_ENV, Cluster, port

# What everybody who talks to the server gets.
CLIENT_SECRETS: Mapping[str, tuple[str, str]] = {
    "MLFLOW_TRACKING_USERNAME": ("tracking-user", "username"),
    "MLFLOW_TRACKING_PASSWORD": ("tracking-user", "password"),
}
# The Secret with the name, the password and the key of the server's administrator.
ADMIN = "tracking-auth"
_DATABASE = ("database", "tracking-url")
# The stores are one database; its address is secret.
_STORES = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE")
_ADMIN: Mapping[str, tuple[str, str]] = {
    "MLFLOW_AUTH_ADMIN_USERNAME": (ADMIN, "admin-username"),
    "MLFLOW_AUTH_ADMIN_PASSWORD": (ADMIN, "admin-password"),
    **CLIENT_SECRETS,
}
_APP = ("mlflow.server.fastapi_app:app",)
_APP_WITH_LOGIN = ("--factory", "mlflow.server.auth:create_app")


def documents(service: Service, cluster: Cluster, policy: Policy) -> list[Document]:
    """Deployment and Service of the tracking server.

    The variables are those of the local run; the stores' values come from a Secret, artifacts go to object storage, and
    the allowed hosts are the names of the Service and those of the settings. Nobody gets in without a name and a
    password. One container makes or upgrades the schema first, and the two users that Secrets describe.
    """
    stores = dict.fromkeys(_STORES, _DATABASE)
    pod = workloads.Pod(
        component=TRACKING,
        image=policy.images[TRACKING],
        command=_with_login(cluster.command(service)),
        env=_env(service, cluster, policy),
        secrets={**stores, "MLFLOW_FLASK_SERVER_SECRET_KEY": (ADMIN, "secret-key")},
        secret_env=("storage",),
        port=port(service),
        health=service.health,
        start_seconds=service.start_seconds,
        stop_seconds=service.stop_seconds,
        cpu=service.cpu,
        memory=max(service.memory_mib, 512),
        priority="box-interactive",
    )
    script = resources.files("boxplat.adapters").joinpath("tracking_on_cluster.py").read_text(encoding="utf-8")
    first = replace(pod, secrets={**pod.secrets, **_ADMIN})
    schema = workloads.container(first, "schema", ["python", "-c", script])
    replicas = policy.replicas.get(TRACKING, service.replicas)
    return [workloads.deployment(pod, policy, replicas, [schema]), workloads.service(pod, policy)]


def _env(service: Service, cluster: Cluster, policy: Policy) -> dict[str, str]:
    number = port(service)
    inside = [TRACKING, f"{TRACKING}.{policy.namespace}.svc", f"{TRACKING}.{policy.namespace}.svc.cluster.local"]
    outside = list(dict.fromkeys([*policy.allowed_hosts, *filter(None, [policy.hosts.get(TRACKING)])]))
    env = cluster.env(service) | {
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{policy.storage}/mlflow",
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*(f"{host}:{number}" for host in [*inside, "localhost"]), *outside]),
        "MLFLOW_AUTH_CONFIG_PATH": f"{names.STATE}/login/basic_auth.ini",
        # The container before this one has made the first user.
        "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true",
        "prometheus_multiproc_dir": f"{names.STATE}/metrics",
        **CLUSTER_ENV,
    }
    if outside:
        env["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(f"https://{host}" for host in outside)
    if policy.storage_endpoint:
        env["MLFLOW_S3_ENDPOINT_URL"] = policy.storage_endpoint
    return env


def _with_login(words: list[str]) -> list[str]:
    return [new for word in words for new in (_APP_WITH_LOGIN if word in _APP else (word,))]
