"""Where a declaration's references lead on a cluster: the one place where exporting differs from running."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from boxplat.core.environment import QUIET
from boxplat.core.graph import resolve
from boxplat.core.model import Service
from boxplat.export import names, sensitive
from boxplat.export.model import FEATURES

PORT = 8080
GRPC_PORT = 9000
_PRIVILEGED = 1024
# A user and a password in an address.
_LOGIN = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
FEATURES_PORT = 6566
# What a run gets from its launcher, in the same words; the folders are those of the image and of the shared volume.
FLOW_ENV: Mapping[str, str] = {
    **QUIET,
    "PYTHONUNBUFFERED": "1",
    "BOXPLAT_PROJECT": "${box.root}",
    "BOXPLAT_DATA": "${box.data}",
    "MLFLOW_TRACKING_URI": "${tracking.url}",
}
# A pod's user has no home of its own.
CLUSTER_ENV: Mapping[str, str] = {"HOME": "/tmp"}
# Without it Metaflow installs boto3 at every start of a step.
STEP_ENV: Mapping[str, str] = {"METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1", **CLUSTER_ENV}


def secret_names(service: Service) -> list[str]:
    """The service's variables that must not be written out, by their names."""
    return sorted(key for key, value in service.env.items() if sensitive.NAMED.search(key) or _LOGIN.search(value))


class Cluster:
    """The values of references in one namespace."""

    def __init__(self, namespace: str, services: Iterable[Service], root: Path) -> None:
        self._values = {
            "box.root": names.ROOT,
            "box.state": names.STATE,
            "box.data": names.DATA,
            "box.python": "python",
            "features.url": f"http://{FEATURES}.{namespace}.svc:{FEATURES_PORT}",
        }
        for service in services:
            host = f"{service.name}.{namespace}.svc"
            self._values |= {
                f"{service.name}.host": host,
                f"{service.name}.port": str(port(service)),
                f"{service.name}.url": f"http://{host}:{port(service)}",
            }
        self._folders = ((str(root / ".box"), names.STATE), (str(root), names.ROOT))

    def text(self, text: str, own: Service | None = None) -> str:
        """The text with every reference and every folder of the project replaced."""
        values = self._values
        if own is not None:
            number = str(port(own))
            values = {**values, "self.port": number, "self.host": "0.0.0.0", "self.url": values[f"{own.name}.url"]}
            values["self.grpc_port"] = str(grpc_port(own))
        found = resolve(text, values)
        for folder, there in self._folders:
            found = found.replace(folder, there)
        return found

    def flow_env(self) -> dict[str, str]:
        """What every step of every flow gets."""
        return {**{key: self.text(value) for key, value in FLOW_ENV.items()}, **STEP_ENV}

    def env(self, service: Service) -> dict[str, str]:
        """The service's environment: the keys are those of the local run."""
        return {key: _literal(self.text(value, service)) for key, value in service.env.items()}

    def command(self, service: Service) -> list[str]:
        """The service's command, listening on every address of its pod instead of on a loopback socket passed to it."""
        words = list(service.command)
        if "--fd" in words:
            at = words.index("--fd")
            words[at : at + 2] = ["--host", "${self.host}", "--port", "${self.port}"]
        words = ["${self.host}" if word in ("127.0.0.1", "localhost") else word for word in words]
        return [_literal(self.text(word, service)) for word in words]


def _literal(text: str) -> str:
    """Kubernetes expands `$(NAME)` in variables and commands, and takes `$$` for a `$`."""
    return text.replace("$", "$$")


def port(service: Service) -> int:
    """The port on the cluster, where no other service can hold it."""
    return service.port or PORT


def grpc_port(service: Service) -> int:
    """The port for gRPC on the cluster, where a user other than root may bind it."""
    return service.grpc_port if service.grpc_port >= _PRIVILEGED else GRPC_PORT
