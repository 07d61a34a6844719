"""In which order objects are applied: whatever is needed goes before what needs it."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.export.lift.bundle import component, ref
from boxplat.export.model import TRACKING, Document

WAVES = (
    "guard rails",
    "accounts and settings",
    "stores",
    "tracking",
    "features",
    "servers",
    "workflows",
    "routes and monitoring",
)
# Within a wave kinds go in this order; kinds that stand nowhere are servers' companions.
_ORDER = (
    ("Namespace", "PriorityClass", "ResourceQuota", "LimitRange"),
    (
        "ServiceAccount",
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
        "ConfigMap",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "ResourceFlavor",
        "ClusterQueue",
        "LocalQueue",
        "SecretStore",
        "ExternalSecret",
    ),
    ("StatefulSet",),
    (),
    ("Job",),
    ("Service", "Deployment", "DaemonSet", "HorizontalPodAutoscaler", "PodDisruptionBudget", "CronJob"),
    ("WorkflowTemplate", "CronWorkflow", "EventBus", "EventSource", "Sensor"),
    ("Gateway", "HTTPRoute", "GRPCRoute", "ServiceMonitor", "PodMonitor", "PrometheusRule"),
)
_PLACE = {kind: (wave, at) for wave, kinds in enumerate(_ORDER) for at, kind in enumerate(kinds)}
_TRACKING, _SERVERS = WAVES.index("tracking"), WAVES.index("servers")


def waves(documents: Iterable[Document]) -> list[tuple[str, list[Document]]]:
    """The documents by wave, in the order to apply them; waves without any are left out."""
    placed: dict[int, list[tuple[int, Document]]] = {}
    for document in documents:
        wave, at = _PLACE.get(document["kind"], (_SERVERS, len(_ORDER[_SERVERS])))
        # All other servers write to the tracking server, so that it is up before them.
        if wave == _SERVERS and component(document) == TRACKING:
            wave = _TRACKING
        placed.setdefault(wave, []).append((at, document))
    return [
        (WAVES[wave], [document for _, document in sorted(found, key=lambda pair: (pair[0], ref(pair[1])))])
        for wave, found in sorted(placed.items())
    ]
