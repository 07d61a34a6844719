"""A Grafana dashboard for each endpoint, in a ConfigMap as Grafana's sidecar looks for it."""

from __future__ import annotations

import hashlib
import json

from boxplat.core.live import GuardsConfig
from boxplat.export import names
from boxplat.export.model import Document, Policy
from boxplat.export.serving.queries import RELEASE, Queries

_SOURCE = {"type": "prometheus", "uid": "${source}"}
_SCHEMA = 39
_WIDTH, _HEIGHT = 12, 8
# Grafana puts the interval here that fits the screen and is never shorter than four scrapes.
_WINDOW = "$__rate_interval"


def document(endpoint: str, guards: GuardsConfig | None, policy: Policy) -> Document:
    """The ConfigMap; limits of the guard-rails are lines in the panels."""
    metadata = names.metadata(f"{endpoint}-dashboard", policy.namespace, policy.project, endpoint)
    metadata["labels"] |= {"grafana_dashboard": "1"}
    content = json.dumps(_dashboard(endpoint, guards or GuardsConfig(), policy), indent=1)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {f"{policy.project}-{endpoint}.json": content + "\n"},
    }


def _dashboard(endpoint: str, guards: GuardsConfig, policy: Policy) -> Document:
    ask = Queries(policy.namespace, endpoint, _WINDOW)
    panels = [
        _panel("Requests a second", "reqps", {"": ask.per_second()}),
        _panel("Failed requests", "percentunit", {"": ask.failed()}, guards.errors),
        _panel(
            "Time to the answer",
            "ms",
            {"median": ask.quantile_ms(0.5), "95 %": ask.quantile_ms(0.95), "99 %": ask.quantile_ms(0.99)},
            guards.p99_ms,
        ),
        _panel("Requests under way", "short", {"": ask.running()}),
        _panel("Calls computed together", "short", {"": ask.batch()}),
        _panel("Pods", "short", {"": ask.servers()}),
        _panel("Predictions not logged", "short", {"": ask.unlogged()}),
    ]
    for number, panel in enumerate(panels):
        place = {"x": number % 2 * _WIDTH, "y": number // 2 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
        panel |= {"id": number + 1, "gridPos": place}
    source = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        # Grafana takes 40 characters at most.
        "uid": hashlib.sha256(f"{policy.namespace}/{endpoint}".encode()).hexdigest()[:40],
        "title": f"{policy.project}: {endpoint}",
        "tags": ["boxplat", policy.project],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _panel(title: str, unit: str, queries: dict[str, str], limit: float = 0.0) -> Document:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": _SOURCE,
            "expr": query,
            "legendFormat": " ".join(part for part in (f"release {{{{{RELEASE}}}}}", name) if part),
        }
        for number, (name, query) in enumerate(queries.items())
    ]
    steps: list[Document] = [{"color": "green", "value": None}]
    custom = {"drawStyle": "line", "thresholdsStyle": {"mode": "line" if limit else "off"}}
    if limit:
        steps.append({"color": "red", "value": limit})
    defaults = {"unit": unit, "min": 0, "custom": custom, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
