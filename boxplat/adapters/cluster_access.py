"""Which cluster, and as whom: the contexts of the user's kubeconfig, or the pod's own account."""

from __future__ import annotations

import os
from typing import Any

from boxplat.adapters.cluster import Cluster
from boxplat.core.errors import BoxError, ExitCode, not_found


def connect(context: str = "") -> Cluster:
    """The cluster of a context (empty: the current one). Asks it nothing yet.

    Raises:
        BoxError: there is no kubeconfig (exit code 4) or no such context (9).
    """
    from kubernetes import client
    from kubernetes import config as untyped
    from kubernetes.config.config_exception import ConfigException

    config: Any = untyped
    settings = client.Configuration()
    # The client itself looks at the variable when it is imported.
    file = os.environ.get("KUBECONFIG") or None
    try:
        contexts, current = config.list_kube_config_contexts(file)
    except (ConfigException, OSError) as error:
        if not context and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
            return Cluster(client.ApiClient(settings), "in-cluster")
        raise _nowhere(str(error)) from error
    names = [entry["name"] for entry in contexts]
    if context and context not in names:
        raise not_found("context", context, names, fix="kubectl config get-contexts")
    chosen = context or (current or {}).get("name", "")
    try:
        # Nothing of ours is written into the user's kubeconfig.
        config.load_kube_config(file, context=chosen, client_configuration=settings, persist_config=False)
    except (ConfigException, OSError) as error:
        raise _nowhere(str(error)) from error
    return Cluster(client.ApiClient(settings), chosen)


def _nowhere(why: str) -> BoxError:
    return BoxError(
        "no cluster to lift to",
        why=why,
        fix="kubectl config current-context   (KUBECONFIG says where it is; box lift --context NAME chooses)",
        code=ExitCode.PRECONDITION,
    )
