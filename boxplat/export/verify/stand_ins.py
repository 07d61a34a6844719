"""What a cluster has and this machine has not: Secrets' values, a network of names, PostgreSQL and Redis.

Both databases are SQLite here. Everything else is what the manifests say.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boxplat.export import document, names
from boxplat.export.verify.exported import Exported
from boxplat.export.verify.network import Network
from boxplat.export.verify.storage import Storage

# Where pods find the files of the databases.
FOLDER = "/stand-ins"
TRACKING_DATABASE, REGISTRY, ONLINE = "mlflow.db", "registry.db", "online.db"
# Names that no Service of the export has, but that its pods may ask for.
EVENTS = "argo-events-webhook-eventsource-svc"
EVENTS_PORT = 12000


def secret_values(storage: Storage, environ: Mapping[str, str], declared: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """The Secrets that an export refers to, by name.

    Args:
        environ: where the values of the flows' own variables come from: the environment of local runs.
        declared: the names of these variables.
    """
    return {
        "storage": storage.environment(),
        "database": {
            "tracking-url": f"sqlite:///{FOLDER}/{TRACKING_DATABASE}",
            "registry-url": f"sqlite:///{FOLDER}/{REGISTRY}",
        },
        "online-store": {"connection": f"{FOLDER}/{ONLINE}"},
        "tracking-auth": {
            "admin-username": "admin",
            "admin-password": secrets.token_urlsafe(24),
            "secret-key": secrets.token_urlsafe(32),
        },
        "tracking-user": {"username": "flows", "password": secrets.token_urlsafe(24)},
        "flows": {name: environ[name] for name in declared if name in environ},
    }


def configs(exported: Exported) -> dict[str, Mapping[str, str]]:
    """The ConfigMaps, with Feast's online store in SQLite where they say Redis."""
    found = exported.configs()
    store = found.get("feature-store")
    if store is not None:
        content: dict[str, Any] = document.load(store["feature_store.yaml"])
        if content.get("online_store", {}).get("type") == "redis":
            content["online_store"] = {"type": "sqlite", "path": f"{FOLDER}/{ONLINE}"}
        found["feature-store"] = {"feature_store.yaml": document.dump(content)}
    return found


def addresses(exported: Exported, namespace: str, network: Network) -> dict[str, str]:
    """An address of loopback for every Service, and for the webhook, by each of its names."""
    found = {}
    for name in sorted({*exported.services(), EVENTS}):
        address = network.address()
        for host in (name, f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"):
            found[host] = address
    return found


def app(project: Path) -> dict[str, Path]:
    """What images have below `/app`: everything of the project but its state and what begins with a dot."""
    return {f"{names.ROOT}/{path.name}": path for path in sorted(project.iterdir()) if not path.name.startswith(".")}
