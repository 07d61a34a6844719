"""The gateway as a service of the box."""

from __future__ import annotations

from boxplat.core.config import Config
from boxplat.core.model import Service
from boxplat.core.replicas import GATEWAY

STOP_SECONDS = 30.0


def service(config: Config) -> Service:
    """The declaration of the gateway's process."""
    flags = () if config.gateway.access_log else ("--no-access-log",)
    return Service(
        name=GATEWAY,
        command=("${box.python}", "-P", "-m", "boxplat.releases.gateway.main", "--port", "${self.port}", *flags),
        kind=GATEWAY,
        port=config.gateway.port,
        health="/ready",
        start_seconds=60.0,
        stop_seconds=STOP_SECONDS,
        memory_mib=256,
    )
