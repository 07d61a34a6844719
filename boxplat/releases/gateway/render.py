"""From routes to Envoy's configuration: a pure function, so that every text can be checked before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from boxplat.releases.gateway.clusters import clusters, static_clusters
from boxplat.releases.gateway.listeners import listener, own_listener
from boxplat.releases.gateway.model import Route, Settings
from boxplat.releases.gateway.routes import own_table, table

Json = dict[str, Any]
BOOTSTRAP, CLUSTERS, LISTENERS, OWN_ROUTES = "bootstrap.json", "clusters.json", "listeners.json", "routes.json"
ADMIN = "admin.sock"
_KIND = "type.googleapis.com/envoy.config"


def render(routes: Sequence[Route], settings: Settings) -> dict[str, str]:
    """Every file of the gateway's folder, by name.

    All paths in them are relative to that folder, in which Envoy runs. `bootstrap.json` is read once; each other
    carries a version, the digest of its content.

    Raises:
        ValueError: two routes of one endpoint.
    """
    if len({route.endpoint for route in routes}) != len(routes):
        raise ValueError("an endpoint has one route")
    ordered = sorted(routes, key=lambda route: route.endpoint)
    tables = {OWN_ROUTES: own_table("gateway", settings)}
    tables |= {table_file(name): found for name, _, found in _tables(ordered, settings)}
    listening = [listener(name, port, table_file(name), settings) for name, port, _ in _tables(ordered, settings)]
    files = {name: _resources("route.v3.RouteConfiguration", [found]) for name, found in tables.items()}
    files[CLUSTERS] = _resources("cluster.v3.Cluster", [one for route in ordered for one in clusters(route)])
    files[LISTENERS] = _resources("listener.v3.Listener", listening)
    return {BOOTSTRAP: json.dumps(_bootstrap(settings), indent=1), **files}


def whole(routes: Sequence[Route], settings: Settings) -> str:
    """The same configuration as one static bootstrap: `envoy --mode validate` looks into no other file."""
    ordered = sorted(routes, key=lambda route: route.endpoint)
    found = _bootstrap(settings)
    del found["dynamic_resources"]
    own = own_listener(settings, inline=own_table("gateway", settings))
    rest = [listener(name, port, "", settings, inline=found) for name, port, found in _tables(ordered, settings)]
    found["static_resources"]["listeners"] = [own, *rest]
    found["static_resources"]["clusters"] += [one for route in ordered for one in clusters(route)]
    return json.dumps(found, indent=1)


def table_file(name: str) -> str:
    """The file with the route table of a listener."""
    return f"routes-{name}.json"


def version(text: str) -> str:
    """The version that a rendered file carries."""
    return str(json.loads(text)["version_info"])


def _tables(routes: Sequence[Route], settings: Settings) -> Iterator[tuple[str, int, Json]]:
    """(name of the listener, port, route table) of every listener."""
    for route in routes:
        yield route.endpoint, route.port, table(route.endpoint, route, settings, grpc=False)
        if route.grpc_port is not None:
            name = f"{route.endpoint}@grpc"
            yield name, route.grpc_port, table(name, route, settings, grpc=True)


def _resources(kind: str, found: list[Json]) -> str:
    typed = [{"@type": f"{_KIND}.{kind}", **one} for one in found]
    digest = hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]
    return json.dumps({"version_info": digest, "resources": typed}, indent=1)


def _bootstrap(settings: Settings) -> Json:
    return {
        "node": {"id": "boxplat", "cluster": "boxplat"},
        # Times of answers are as old as this where they are read.
        "stats_flush_interval": "1s",
        "admin": {"address": {"pipe": {"path": ADMIN, "mode": 0o600}}},
        "dynamic_resources": {
            "cds_config": {"path_config_source": {"path": f"./{CLUSTERS}"}, "resource_api_version": "V3"},
            "lds_config": {"path_config_source": {"path": f"./{LISTENERS}"}, "resource_api_version": "V3"},
        },
        "static_resources": {
            "listeners": [own_listener(settings, file=OWN_ROUTES)],
            "clusters": static_clusters(ADMIN, settings),
        },
    }
