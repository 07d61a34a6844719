"""What carries events to Sensors on a cluster with Argo Events: a bus, a webhook, and who may reach them."""

from __future__ import annotations

from typing import Any

from boxplat.export import names, security
from boxplat.export.model import FLOWS, Document, Policy

EVENT, SOURCE, ACCOUNT, BUS = "metaflow-event", "argo-events-webhook", "flow-triggers", "default"
_COMPONENT = "events"
_WEBHOOK, _NATS, _NATS_PEERS = 12000, 4222, 6222
_KUBERNETES = (443, 6443)
# The release of NATS that Argo Events 1.9 ships with.
_BUS_VERSION = "2.10.10"
_RESOURCES: Document = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}


def url(namespace: str) -> str:
    """Where flows publish events: the webhook's Service, as Argo Events names it."""
    return f"http://{SOURCE}-eventsource-svc.{namespace}.svc:{_WEBHOOK}/{EVENT}"


def documents(policy: Policy) -> list[Document]:
    """EventBus, EventSource, their account and their network policies; objects of Argo Events 1.9."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _metadata(_COMPONENT, policy),
            "automountServiceAccountToken": False,
        },
        _bus(policy),
        _source(policy),
        *_network(policy),
    ]


def template(component: str, policy: Policy, account: str, container: Document | None = None) -> Document:
    """`spec.template` of a Sensor or EventSource: a pod that PodSecurity `restricted` admits."""
    return {
        "metadata": {"labels": names.labels(policy.project, component)},
        "serviceAccountName": account,
        "securityContext": security.pod(),
        "container": {
            "resources": _RESOURCES,
            **(container or {}),
            "securityContext": security.container(read_only=True),
        },
    }


def _bus(policy: Policy) -> Document:
    part = {"resources": _RESOURCES, "securityContext": security.container(read_only=False)}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "EventBus",
        "metadata": _metadata(BUS, policy),
        "spec": {
            "jetstream": {
                "version": _BUS_VERSION,
                "replicas": 3,
                "serviceAccountName": _COMPONENT,
                "metadata": {"labels": names.labels(policy.project, _COMPONENT)},
                "securityContext": security.pod(),
                "containerTemplate": part,
                "reloaderContainerTemplate": part,
                "metricsContainerTemplate": part,
            }
        },
    }


def _source(policy: Policy) -> Document:
    ports = [{"name": "http", "port": _WEBHOOK, "targetPort": _WEBHOOK}]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "EventSource",
        "metadata": _metadata(SOURCE, policy),
        "spec": {
            "eventBusName": BUS,
            "replicas": 1,
            "service": {"ports": ports},
            "template": template(_COMPONENT, policy, _COMPONENT),
            "webhook": {EVENT: {"port": str(_WEBHOOK), "endpoint": f"/{EVENT}", "method": "POST"}},
        },
    }


def _network(policy: Policy) -> list[Document]:
    outside = {"namespaceSelector": {"matchLabels": {"boxplat/ingress": "true"}}}
    members = [_pods(_COMPONENT), _pods(ACCOUNT)]
    into = [
        {"from": [_pods(FLOWS), outside], "ports": _ports(_WEBHOOK)},
        {"from": members, "ports": _ports(_NATS, _NATS_PEERS)},
    ]
    to_bus = {"to": [_pods(_COMPONENT)], "ports": _ports(_NATS, _NATS_PEERS)}
    to_api = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}], "ports": _ports(*_KUBERNETES)}
    to_webhook = {"to": [_pods(_COMPONENT)], "ports": _ports(_WEBHOOK)}
    return [
        _policy("to-events", _COMPONENT, {"policyTypes": ["Ingress"], "ingress": into}, policy),
        _policy("from-events", _COMPONENT, {"policyTypes": ["Egress"], "egress": [to_bus]}, policy),
        _policy("from-flow-triggers", ACCOUNT, {"policyTypes": ["Egress"], "egress": [to_bus, to_api]}, policy),
        _policy("flows-to-events", FLOWS, {"policyTypes": ["Egress"], "egress": [to_webhook]}, policy),
    ]


def _policy(name: str, component: str, rules: Document, policy: Policy) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(name, policy),
        "spec": {"podSelector": {"matchLabels": names.selector(component)}, **rules},
    }


def _pods(component: str) -> Document:
    return {"podSelector": {"matchLabels": names.selector(component)}}


def _ports(*numbers: int) -> list[Document]:
    return [{"protocol": "TCP", "port": number} for number in numbers]


def _metadata(name: str, policy: Policy) -> dict[str, Any]:
    return names.metadata(name, policy.namespace, policy.project, _COMPONENT)
