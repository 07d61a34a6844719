"""The namespace and what keeps its tenants apart: rights, quotas, priorities, default limits and the shared volume."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.export import names
from boxplat.export.model import FLOWS, Document, Policy

_GPUS = "requests.nvidia.com/gpu"
# Name, value, and what takes it; who waits longest is the last. Kubernetes keeps what is above a billion for itself.
_PRIORITIES = (
    ("box-serving", 1_000_000, "Answers requests: takes the place of what can be done later."),
    ("box-interactive", 100_000, "Somebody waits for it."),
    ("box-batch", 1_000, "Can be done later: waits for room and never takes a running pod's place."),
)


def namespace(policy: Policy) -> list[Document]:
    """The namespace, closed to every pod that PodSecurity `restricted` refuses."""
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    base = {key: value for key, value in names.labels(policy.project, "namespace").items() if key != names.COMPONENT}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": policy.namespace, "labels": base | modes}},
    ]


def quota(policy: Policy) -> list[Document]:
    """Quota, and limits for the containers that state none (Argo's own)."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": names.metadata("quota", policy.namespace, policy.project, "guardrails"),
            "spec": {"hard": dict(sorted(_hard(policy).items()))},
        },
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": names.metadata("defaults", policy.namespace, policy.project, "guardrails"),
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "default": {"memory": "512Mi"},
                        "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
                    }
                ]
            },
        },
    ]


def _hard(policy: Policy) -> dict[str, str]:
    """The quota; of what the project's own kinds of GPU are asked for by, as many as of NVIDIA's."""
    gpus = {f"requests.{gpu.resource}": policy.quota.get(_GPUS, "4") for gpu in policy.gpus.values()}
    return {**gpus, **policy.quota}


def priorities() -> list[Document]:
    """Who gets a place first. They are the whole cluster's, so every project's are the same."""
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "boxplat"}},
            "value": value,
            "globalDefault": False,
            "preemptionPolicy": "Never" if name == "box-batch" else "PreemptLowerPriority",
            "description": description,
        }
        for name, value, description in _PRIORITIES
    ]


def volume(policy: Policy) -> list[Document]:
    """The folder that flows and features share, as they share `.box/data` locally."""
    chosen = {"storageClassName": policy.data_class} if policy.data_class else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": names.metadata("data", policy.namespace, policy.project, "data"),
            "spec": {
                "accessModes": ["ReadWriteMany"],
                **chosen,
                "resources": {"requests": {"storage": policy.data_size}},
            },
        }
    ]


def rights(components: Iterable[str], policy: Policy, jobsets: bool) -> list[Document]:
    """A service account for each component. Only that of the flows has rights: to report results and make JobSets."""
    accounts = [_account(component, policy) for component in components]
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}]
    if jobsets:
        rules.append({"apiGroups": ["jobset.x-k8s.io"], "resources": ["jobsets"], "verbs": ["create", "get"]})
    metadata = names.metadata(FLOWS, policy.namespace, policy.project, FLOWS)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": FLOWS},
        "subjects": [{"kind": "ServiceAccount", "name": FLOWS, "namespace": policy.namespace}],
    }
    return [*accounts, role, binding]


def _account(component: str, policy: Policy) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": names.metadata(component, policy.namespace, policy.project, component),
        # Argo's own container in a step's pod reports the result with the token.
        "automountServiceAccountToken": component == FLOWS,
    }
