"""Names, labels and paths that the manifests share."""

from __future__ import annotations

import re
from typing import Any

from boxplat.core.errors import BoxError, ExitCode

ROOT = "/app"
STATE = "/var/lib/boxplat"
DATA = f"{STATE}/data"
FEATURE_STORE = "/etc/boxplat/feature_store"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
RELEASE = "boxplat/release"
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


def label_name(text: str) -> str:
    """A name fit for a namespace, a Service and a label: lower case, digits and '-', at most 40 characters."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].rstrip("-")
    return name if name[:1].isalpha() else f"box-{name}".rstrip("-")


def checked(name: str, kind: str) -> str:
    """The name of a service, endpoint or overlay, if Kubernetes can bear it.

    Raises:
        BoxError: it cannot (exit code 2).
    """
    if not _LABEL.fullmatch(name):
        raise BoxError(
            f"{kind} {name!r} cannot be exported under this name",
            why="Kubernetes takes lower-case letters, digits and '-', starting with a letter, at most 40 characters",
            fix=f"rename it, for example to {label_name(name)!r}",
            code=ExitCode.USAGE,
        )
    return name


def selector(component: str) -> dict[str, str]:
    """The labels by which Services, policies and Deployments find the pods of a component."""
    return {COMPONENT: component}


def labels(project: str, component: str) -> dict[str, str]:
    """The labels of every object of a component."""
    return {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": project,
        "app.kubernetes.io/managed-by": "boxplat",
        **selector(component),
    }


def metadata(name: str, namespace: str, project: str, component: str) -> dict[str, Any]:
    """`metadata` of a namespaced object."""
    return {"name": name, "namespace": namespace, "labels": labels(project, component)}
