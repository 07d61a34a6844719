"""What watches endpoints where the Prometheus operator runs: scrapes, alerts from the guard-rails, dashboards."""

from __future__ import annotations

from boxplat.core.live import GuardsConfig
from boxplat.export import names
from boxplat.export.model import TRACKING, Document, ExportInput, Policy
from boxplat.export.platform import tracking
from boxplat.export.serving import dashboards
from boxplat.export.serving.instances import Instance, endpoints
from boxplat.export.serving.queries import ENDPOINT, PATH, RELEASE, SLOWEST_MS, Queries

# Pods of namespaces with this label may read metrics.
SCRAPER = "boxplat/metrics"
_SCRAPE = "30s"
_WINDOW = "10m"
_UNREACHABLE = "5m"
_LASTING = "1m"


def documents(inputs: ExportInput) -> tuple[Document, ...]:
    """ServiceMonitor, PrometheusRule, dashboard and network policy of each endpoint."""
    made = _of_tracking(inputs.policy) if any(one.name == TRACKING for one in inputs.services) else []
    for name, own in endpoints(inputs).items():
        guards = inputs.guards.get(name)
        made += [
            _of_releases(own[0], inputs.policy),
            _entry(name, inputs.policy),
            _rules(own, guards, inputs.policy),
            dashboards.document(name, guards, inputs.policy),
        ]
    return tuple(made)


def duration(text: str) -> str:
    """A time of the settings ("10m") as Prometheus takes it."""
    return "".join(text.split())


def quantile_is_known(limit_ms: float) -> bool:
    """Whether a 99th percentile above the limit can be told from the servers' buckets."""
    return limit_ms < SLOWEST_MS


def _of_tracking(policy: Policy) -> list[Document]:
    """What MLflow says of itself, which it says to its administrator only."""
    login = {key: {"name": tracking.ADMIN, "key": f"admin-{key}"} for key in ("username", "password")}
    scrape = {"port": "http", "path": "/metrics", "interval": _SCRAPE, "basicAuth": login}
    return [_monitor(TRACKING, scrape, policy), _entry(TRACKING, policy)]


def _of_releases(main: Instance, policy: Policy) -> Document:
    """Scrapes the pods of all releases, and labels what they say with the endpoint and the release."""
    relabelled = [
        {"action": "replace", "targetLabel": ENDPOINT, "replacement": main.endpoint},
        {"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_label_boxplat_release"], "targetLabel": RELEASE},
    ]
    # The operator's own label of that name is the port.
    renamed = [{"action": "replace", "sourceLabels": ["exported_endpoint"], "targetLabel": PATH}]
    scrape = {"port": "http", "path": f"{main.prefix}/metrics", "interval": _SCRAPE}
    return _monitor(main.endpoint, {**scrape, "relabelings": relabelled, "metricRelabelings": renamed}, policy)


def _monitor(component: str, scrape: Document, policy: Policy) -> Document:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": names.metadata(component, policy.namespace, policy.project, component),
        "spec": {"selector": {"matchLabels": names.selector(component)}, "endpoints": [scrape]},
    }


def _entry(component: str, policy: Policy) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(f"metrics-of-{component}", policy.namespace, policy.project, "network"),
        "spec": {
            "podSelector": {"matchLabels": names.selector(component)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": {"matchLabels": {SCRAPER: "true"}}}],
                    "ports": [{"protocol": "TCP", "port": "http"}],
                }
            ],
        },
    }


def _rules(own: list[Instance], guards: GuardsConfig | None, policy: Policy) -> Document:
    endpoint = own[0].endpoint
    rules = [_unreachable(Queries(policy.namespace, endpoint, _WINDOW), endpoint)]
    if any(one.has_log for one in own):
        rules.append(_log_stopped(Queries(policy.namespace, endpoint, _WINDOW), endpoint))
    if guards is not None:
        rules += _limits(guards, Queries(policy.namespace, endpoint, duration(guards.window)), endpoint)
    group: Document = {"name": f"boxplat-{endpoint}", "rules": rules}
    if guards is not None:
        group["interval"] = duration(guards.every)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": names.metadata(endpoint, policy.namespace, policy.project, endpoint),
        "spec": {"groups": [group]},
    }


def _limits(guards: GuardsConfig, ask: Queries, endpoint: str) -> list[Document]:
    """The guard-rails that a cluster can watch; only the box can take a release back by itself."""
    enough = f"and {ask.counted()} >= {guards.least}"
    made = []
    if guards.errors:
        said = f"{{{{ $value | humanizePercentage }}}} of its requests failed; the limit is {guards.errors:.6g} of 1"
        made.append(_limit("EndpointErrors", "errors", f"{ask.failed()} > {guards.errors:g} {enough}", endpoint, said))
    if guards.p99_ms and quantile_is_known(guards.p99_ms):
        said = f"1 % of its answers took more than {{{{ $value | humanize }}}} ms; the limit is {guards.p99_ms:g} ms"
        query = f"{ask.quantile_ms(0.99)} > {guards.p99_ms:g} {enough}"
        made.append(_limit("EndpointSlow", "p99_ms", query, endpoint, said))
    return made


def _limit(name: str, objective: str, query: str, endpoint: str, said: str) -> Document:
    found = _alert(name, query, _LASTING, endpoint, said)
    return found | {"labels": {**found["labels"], "objective": objective}}


def _unreachable(ask: Queries, endpoint: str) -> Document:
    return _alert("EndpointUnreachable", ask.unreachable(), _UNREACHABLE, endpoint, "no pod of it answers", "critical")


def _log_stopped(ask: Queries, endpoint: str) -> Document:
    said = "{{ $value }} of its servers cannot write the prediction log: their disks are full"
    return _alert("PredictionLogStopped", f"{ask.log_stopped()} > 0", _UNREACHABLE, endpoint, said)


def _alert(name: str, query: str, lasting: str, endpoint: str, said: str, severity: str = "warning") -> Document:
    release = f"release {{{{ $labels.{RELEASE} }}}} of " if severity == "warning" else ""
    return {
        "alert": name,
        "expr": query,
        "for": lasting,
        "labels": {"severity": severity, "endpoint": endpoint},
        "annotations": {"summary": f"{release}{endpoint}: {said}"},
    }
