"""Environments: what `[overlays.NAME]` changes in the project's export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.core.export_config import OverlayConfig
from boxplat.export.model import FEATURES, ExportInput
from boxplat.export.platform import features

STANDARD = ("dev", "staging", "prod")
EXCLUSIVE = (features.S3, features.SPARK)


def chosen(declared: Mapping[str, OverlayConfig], only: str | None) -> dict[str, OverlayConfig]:
    """The overlays to render: the standard ones and those declared, or just one of any name."""
    wanted = [only] if only is not None else [*STANDARD, *sorted(declared.keys() - set(STANDARD))]
    return {name: declared.get(name, OverlayConfig()) for name in wanted}


def varied(inputs: ExportInput, overlay: OverlayConfig) -> ExportInput:
    """The inputs as one environment has them."""
    policy = inputs.policy
    storage = overlay.storage or policy.storage
    there = replace(
        policy,
        storage=storage,
        hosts=overlay.hosts,
        replicas=overlay.replicas,
        max_replicas=overlay.max_replicas or policy.max_replicas,
        quota={**policy.quota, **overlay.quota},
    )
    return replace(inputs, policy=there)


def opted(overlay: OverlayConfig) -> list[str]:
    """The components of an overlay; names of hosts need the routes to them."""
    return list(dict.fromkeys([*overlay.components, *(["gateway"] if overlay.hosts else [])]))


def checked(inputs: ExportInput, components: Iterable[str]) -> None:
    """Refuse overlays that name what the export does not have.

    Raises:
        BoxError: there is no such component or service, or two components exclude each other (exit code 2).
    """
    known = sorted(components)
    services = sorted({service.name for service in inputs.services} | {FEATURES})
    for name, overlay in inputs.overlays.items():
        for component in opted(overlay):
            if component not in known:
                raise _unknown(f"overlays.{name}.components", component, known)
        if {*EXCLUSIVE} <= {*overlay.components}:
            raise BoxError(
                f"overlays.{name}.components names both {' and '.join(EXCLUSIVE)}",
                why="features are read from one offline store",
                fix="leave one of them out in boxplat.toml",
                code=ExitCode.USAGE,
            )
        for key, table in (("hosts", overlay.hosts), ("replicas", overlay.replicas)):
            for service in table:
                if service not in services:
                    raise _unknown(f"overlays.{name}.{key}", service, services)


def _unknown(key: str, name: str, known: list[str]) -> BoxError:
    return BoxError(
        f"{key} names {name!r}, which this export does not have{nearest(name, known)}",
        why=f"there are: {', '.join(known) or 'none'}",
        fix=f"correct {key} in boxplat.toml",
        code=ExitCode.USAGE,
    )
