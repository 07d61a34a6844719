"""What a project's box consists of: one reading of the settings, for running and for exporting alike."""

from __future__ import annotations

from boxplat.adapters import tracking
from boxplat.core.config import Config, ServiceConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.feature_store import FEATURES, has_box_store
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY


def services(config: Config, paths: Paths) -> list[Service]:
    """The tracking server, the feature server where the online store is boxplat's, and the user's own services.

    References in them are unresolved.

    Raises:
        BoxError: a service without a command, or with a name that is taken (exit code 2).
    """
    declared = [tracking.service(config, paths)]
    if has_box_store(paths, config):
        declared.append(_feature_server(config))
    taken = {"tracking", FEATURES, GATEWAY, *config.endpoints}
    for name, own in config.services.items():
        if name in taken or not own.command:
            raise BoxError(
                f"service {name!r} in {paths.config} is not usable",
                why="the name belongs to boxplat or an endpoint" if name in taken else "it has no command",
                fix=f'give [services.{name}] another name and a command = ["…"]',
                code=ExitCode.USAGE,
            )
        declared.append(_own(name, own))
    return declared


def _feature_server(config: Config) -> Service:
    folder = f"${{box.root}}/{config.features.repo}"
    return Service(
        name=FEATURES,
        command=("${box.python}", "-P", "-m", "boxplat.features.server.main", folder, "--fd", "${self.fd}"),
        env={"MALLOC_ARENA_MAX": "2"},
        port=config.features.port,
        listen=True,
        health="/health",
        memory_mib=256,
    )


def _own(name: str, own: ServiceConfig) -> Service:
    return Service(
        name=name,
        command=own.command,
        env=dict(own.env),
        port=own.port,
        listen=own.listen,
        health=own.health,
        needs=own.needs,
    )
