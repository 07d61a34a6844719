"""Who may talk to whom: nobody, except along the references between declarations and to the stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from boxplat.export import names
from boxplat.export.model import Document, Policy

_OPEN = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
HTTPS, KUBERNETES, POSTGRES, REDIS = 443, 6443, 5432, 6379
# The processes of a `@parallel` step agree on their ports among themselves.
ANY = 0


def policies(
    edges: Iterable[tuple[str, str, int]],
    outside: Mapping[str, Sequence[int]],
    entries: Mapping[str, int],
    policy: Policy,
) -> list[Document]:
    """The network policies of a namespace.

    Args:
        edges: (from, to, port) between components; the port may be `ANY`.
        outside: ports that a component may reach outside the namespace: stores, and the Kubernetes API for Argo.
        entries: components that namespaces labelled `boxplat/ingress: "true"` may call, with their port.
    """
    made = [_default_deny(policy), _dns(policy)]
    calls = sorted(set(edges))
    for target in sorted({to for _, to, _ in calls} | set(entries)):
        rules = [_ingress([_pods(source)], port) for source, to, port in calls if to == target]
        if target in entries:
            rules.append(
                _ingress([{"namespaceSelector": {"matchLabels": {"boxplat/ingress": "true"}}}], entries[target])
            )
        made.append(_policy(f"to-{target}", policy, target, {"policyTypes": ["Ingress"], "ingress": rules}))
    for source in sorted({source for source, _, _ in calls} | set(outside)):
        rules = [{"to": [_pods(to)], **_ports(port)} for origin, to, port in calls if origin == source]
        if outside.get(source):
            rules.append({"to": [_OPEN], "ports": [_port(port) for port in outside[source]]})
        made.append(_policy(f"from-{source}", policy, source, {"policyTypes": ["Egress"], "egress": rules}))
    return made


def storage_port(policy: Policy) -> int:
    """The port of the object store."""
    address = urlsplit(policy.storage_endpoint)
    return address.port or (80 if address.scheme == "http" else HTTPS)


def _policy(name: str, policy: Policy, component: str, rules: Document) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(name, policy.namespace, policy.project, "network"),
        "spec": {"podSelector": {"matchLabels": names.selector(component)}, **rules},
    }


def _default_deny(policy: Policy) -> Document:
    denied = _policy("default-deny", policy, "", {"policyTypes": ["Ingress", "Egress"]})
    return denied | {"spec": denied["spec"] | {"podSelector": {}}}


def _dns(policy: Policy) -> Document:
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    rules = {"policyTypes": ["Egress"], "egress": [{"to": [system], "ports": ports}]}
    allowed = _policy("dns", policy, "", rules)
    return allowed | {"spec": allowed["spec"] | {"podSelector": {}}}


def _ingress(sources: Sequence[Document], port: int) -> Document:
    return {"from": list(sources), **_ports(port)}


def _ports(port: int) -> Document:
    return {} if port == ANY else {"ports": [_port(port)]}


def _pods(component: str) -> Document:
    return {"podSelector": {"matchLabels": names.selector(component)}}


def _port(port: int) -> Document:
    return {"protocol": "TCP", "port": port}
