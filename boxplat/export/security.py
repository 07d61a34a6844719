"""What PodSecurity `restricted` demands of every pod and container."""

from __future__ import annotations

from typing import Any

from boxplat.export.model import USER


def pod() -> dict[str, Any]:
    """`securityContext` of a pod. The group owns the volumes, so that the user can write to them."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(read_only: bool) -> dict[str, Any]:
    """`securityContext` of a container; `read_only` makes its root file system so."""
    context = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {**context, "readOnlyRootFilesystem": True} if read_only else context
