"""The split of an endpoint's requests as routes of the Gateway API, for whatever Gateway the cluster has."""

from __future__ import annotations

from collections.abc import Sequence

from boxplat.export import names
from boxplat.export.model import TRACKING, Document, ExportInput, Policy
from boxplat.export.references import grpc_port, port
from boxplat.export.serving.instances import Instance, endpoints

# Of the Gateway that routes attach to if the settings name none.
_GATEWAY = "gateway"
# Its listener for gRPC: a host belongs to one kind of route at each listener.
_GRPC_LISTENER = "grpc"
# What a request is to the prediction log is not for those outside to say (boxplat.serving.log.marks).
_OWN_HEADERS = ["x-boxplat-shadow", "x-boxplat-warmup"]
# What changes or reveals the state of a server rather than asking its models.
_OPERATIONS = ("/metrics", "/v2/repository")


def documents(inputs: ExportInput) -> tuple[Document, ...]:
    """An HTTPRoute for each endpoint, a GRPCRoute for one that speaks gRPC, and a way to tracking if it has a host."""
    policy = inputs.policy
    made: list[Document] = []
    for name, own in endpoints(inputs).items():
        made.append(_http(name, own, policy))
        spoken = [one for one in own if one.service.grpc_port]
        if any(one.weight for one in spoken):
            made += [_grpc(name, spoken, policy), _entry(f"grpc-to-{name}", name, grpc_port(spoken[0].service), policy)]
    found = next((one for one in inputs.services if one.name == TRACKING), None)
    if found is not None and TRACKING in policy.hosts:
        made += [_to_tracking(port(found), policy), _entry(f"route-to-{TRACKING}", TRACKING, port(found), policy)]
    return tuple(made)


def _http(name: str, own: Sequence[Instance], policy: Policy) -> Document:
    # No limit on the whole answer, as locally: it may be a stream.
    rule: Document = {**_forwarding(own, grpc=False), "timeouts": {"request": "0s"}}
    paths = [f"{own[0].prefix}/metrics", *_OPERATIONS]
    return _route("HTTPRoute", name, policy, [_closed(*dict.fromkeys(paths)), rule], {})


def _closed(*paths: str) -> Document:
    """A rule that leads nowhere answers with an error: these are for the cluster's inside."""
    return {"matches": [{"path": {"type": "PathPrefix", "value": path}} for path in paths]}


def _to_tracking(number: int, policy: Policy) -> Document:
    # Artifacts may take longer than what a gateway allows by default.
    rule = {"backendRefs": [{"name": TRACKING, "port": number}], "timeouts": {"request": "0s"}}
    return _route("HTTPRoute", TRACKING, policy, [_closed("/metrics"), rule], {})


def _grpc(name: str, own: Sequence[Instance], policy: Policy) -> Document:
    return _route("GRPCRoute", name, policy, [_forwarding(own, grpc=True)], {"sectionName": _GRPC_LISTENER})


def _route(kind: str, name: str, policy: Policy, rules: list[Document], where: Document) -> Document:
    namespace, _, gateway = policy.gateway.rpartition("/")
    parent = {"name": gateway or _GATEWAY, **({"namespace": namespace} if namespace else {}), **where}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": names.metadata(name, policy.namespace, policy.project, name),
        "spec": {"parentRefs": [parent], "hostnames": [host(name, policy)], "rules": rules},
    }


def host(endpoint: str, policy: Policy) -> str:
    """The public name of an endpoint; where the overlay gives it none, that of its Service, which no other one has."""
    return policy.hosts.get(endpoint) or f"{endpoint}.{policy.namespace}.svc"


def _forwarding(own: Sequence[Instance], grpc: bool) -> Document:
    """Weights are the local split's percents; a shadow gets a copy of every request and its answers go nowhere."""
    filters: list[Document] = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": list(_OWN_HEADERS)}}
    ]
    copies = [_backend(one, grpc) for one in own if one.is_shadow]
    filters += [{"type": "RequestMirror", "requestMirror": {"backendRef": backend}} for backend in copies]
    weighted = [{**_backend(one, grpc), "weight": one.weight} for one in own if one.weight and not one.is_shadow]
    return {"filters": filters, "backendRefs": weighted}


def _backend(one: Instance, grpc: bool) -> Document:
    return {"name": one.name, "port": grpc_port(one.service) if grpc else one.port}


def _entry(title: str, name: str, number: int, policy: Policy) -> Document:
    """The Gateway's namespace may call this port too."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(title, policy.namespace, policy.project, "network"),
        "spec": {
            "podSelector": {"matchLabels": names.selector(name)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": {"matchLabels": {"boxplat/ingress": "true"}}}],
                    "ports": [{"protocol": "TCP", "port": number}],
                }
            ],
        },
    }
