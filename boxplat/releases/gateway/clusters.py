"""Clusters: the processes of each release, and what becomes of one that does not answer as it should."""

from __future__ import annotations

from typing import Any

from boxplat.releases.gateway.listeners import as_given
from boxplat.releases.gateway.model import Route, Settings, Target
from boxplat.releases.gateway.routes import cluster, seconds

Json = dict[str, Any]
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TYPE = f"type.googleapis.com/{_HTTP}"
# Shorter than a server keeps an idle connection (uvicorn: 5 s): who closes first sends no request into a closing one.
_IDLE_SECONDS = 3.0
_CONNECT_SECONDS = 5.0
# A copy that cannot be taken at once is dropped: it must not pile up behind a slow release.
_MOST_COPIES = 64


def clusters(route: Route) -> list[Json]:
    """One cluster for each release that has processes or gets requests; a second one where it speaks gRPC."""
    releases = sorted({*route.targets, *route.weights} | ({route.shadow} if route.shadow is not None else set()))
    found = [_release(route, release, False) for release in releases]
    if route.grpc_port is not None:
        found += [_release(route, release, True) for release in releases]
    return found


def static_clusters(admin: str, settings: Settings) -> list[Json]:
    """Envoy's own statistics, and the collector of spans."""
    inner: Json = {"name": "admin", "type": "STATIC", "connect_timeout": "1s"}
    inner["load_assignment"] = _assignment("admin", [{"pipe": {"path": admin}}])
    tracing = settings.tracing
    if tracing is None:
        return [inner]
    address = {"socket_address": {"address": tracing.host, "port_value": tracing.port}}
    collector: Json = {"name": "collector", "type": "STRICT_DNS", "connect_timeout": "2s"}
    collector["load_assignment"] = _assignment("collector", [address])
    if tracing.path is None:
        collector["typed_extension_protocol_options"] = {
            _HTTP: {"@type": _TYPE, "explicit_http_config": {"http2_protocol_options": {}}}
        }
    if tracing.tls_ca:
        collector["transport_socket"] = _tls(tracing.host, tracing.tls_ca)
    return [inner, collector]


def _release(route: Route, release: int, grpc: bool) -> Json:
    name, most = cluster(route, release, grpc), route.in_flight
    if release == route.shadow:
        most = min(most, _MOST_COPIES)
    targets = route.targets.get(release, ())
    protocol: Json = (
        {"http2_protocol_options": {}} if grpc else {"http_protocol_options": {"header_key_format": as_given()}}
    )
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": seconds(_CONNECT_SECONDS),
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": _assignment(name, [_address(one, grpc) for one in targets if _speaks(one, grpc)]),
        "typed_extension_protocol_options": {
            _HTTP: {
                "@type": _TYPE,
                "common_http_protocol_options": {"idle_timeout": seconds(_IDLE_SECONDS)},
                "explicit_http_config": protocol,
            }
        },
        "circuit_breakers": {"thresholds": [_thresholds(most)]},
        "outlier_detection": _outliers(),
        # A release that is taken away ends what it has begun.
        "ignore_health_on_host_removal": True,
    }


def _thresholds(most: int) -> Json:
    budget = {"budget_percent": {"value": 25.0}, "min_retry_concurrency": max(most // 4, 1)}
    return {
        "max_connections": most,
        "max_pending_requests": most,
        "max_requests": most,
        "retry_budget": budget,
        "track_remaining": True,
    }


def _outliers() -> Json:
    """At most half of a release's processes are left out, and never its only one.

    Three connections in a row that failed or broke off, or ten answers in a row with 500 or above, cost a process five
    seconds, and as much more each time.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_local_origin_failure": 100,
        "consecutive_5xx": 10,
        "enforcing_consecutive_5xx": 100,
        "consecutive_gateway_failure": 10,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "60s",
        "max_ejection_percent": 50,
    }


def _speaks(target: Target, grpc: bool) -> bool:
    return target.grpc_port is not None if grpc else True


def _address(target: Target, grpc: bool) -> Json:
    port = target.grpc_port if grpc else target.port
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _assignment(name: str, addresses: list[Json]) -> Json:
    hosts = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}


def _tls(host: str, authorities: str) -> Json:
    context = {"trusted_ca": {"filename": authorities}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": host,
            "common_tls_context": {"validation_context": context},
        },
    }
