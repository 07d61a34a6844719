"""Ports: one that a server listens at, and one that several workers bind for themselves, and nobody else."""

from __future__ import annotations

import socket

# As uvicorn has it: connections that wait while nobody accepts.
_WAITING = 2048


def listening(host: str, port: int) -> socket.socket:
    """A listening socket; at `::` for IPv4 as well.

    Raises:
        OSError: somebody has the port, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_WAITING, dualstack_ipv6=host == "::")


def reserved(port: int, host: str = "127.0.0.1") -> socket.socket:
    """What keeps a port for those of this user who bind it with SO_REUSEPORT, until it is closed.

    It does not listen, so that no connection comes to it.

    Raises:
        OSError: somebody has the port.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        # Connections of a server that has just ended are in nobody's way.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        # Only now: bound so, it would share the port with another service's workers instead of being refused.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        held.close()
        raise
    return held
